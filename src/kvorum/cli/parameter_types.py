"""The types of options and arguments that click lacks: paths, times, files to read."""

from __future__ import annotations

import math
import re
import sys
from typing import Any, BinaryIO, Final, cast

import click

from kvorum.model.topology import TTL_S_MAX

STDIN: Final = "-"

_UNIT_S: Final = {"w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_LIFETIME: Final = re.compile(
    r"(?P<plain>[0-9]{1,18})|" + "".join(rf"((?P<{unit}>[0-9]{{1,18}}){unit})?" for unit in _UNIT_S)
)
"""Seconds alone, or amounts of units from the longest to the shortest."""


def parse_span(text: str) -> int | None:
    """The seconds that `text` stands for, as in 90, 90s, 1h30m, 7d; None if it is no time span."""
    found = _LIFETIME.fullmatch(text)
    if not text or found is None:
        return None
    amounts = found.groupdict("0")
    return int(amounts.pop("plain")) + sum(
        int(amount) * _UNIT_S[unit] for unit, amount in amounts.items()
    )


class NonEmptyPath(click.Path):
    """A path. An empty one, as of a variable that is not set, would mean the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("The path is empty.", param, ctx)
        return super().convert(value, param, ctx)


class Seconds(click.FloatRange):
    """A finite number of seconds, which may be 0 with `zero`."""

    def __init__(self, *, zero: bool = False) -> None:
        super().__init__(min=0, min_open=not zero)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds = float(click.FLOAT.convert(value, param, ctx))
        if not math.isfinite(seconds) or seconds < 0 or (self.min_open and seconds == 0):
            least = "more than 0 seconds" if self.min_open else "0 seconds or more"
            self.fail(f"{value} is no time span: {least} are possible", param, ctx)
        return seconds


class Ttl(click.types.StringParamType):
    """How long an entry lives, in whole seconds; 0 is for ever. `90`, `90s`, `5m`, `1h30m`, `7d`
    and `2w` are possible."""

    name = "ttl"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, int):
            return value
        seconds = parse_span(value)
        if seconds is None:
            self.fail(
                f"{value!r} is no lifetime. Give seconds, as 90, or a number with a unit of s, m, "
                "h, d or w, as 90s, 1h30m or 7d; 0 is for ever.",
                param,
                ctx,
            )
        if seconds > TTL_S_MAX:
            self.fail(
                f"{value!r} is longer than the {TTL_S_MAX} seconds that an entry may live. Give "
                "less, or 0 for ever.",
                param,
                ctx,
            )
        return seconds


class CountOrAll(click.IntRange):
    """A number, or None for 'all'."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "all":
            return None
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            raise click.BadParameter(
                f"{value!r} is not a whole number of 0 or more, and not 'all'", ctx, param
            ) from error


class InputFile(click.File):
    """A file whose bytes are read; '-' is stdin."""

    def __init__(self) -> None:
        super().__init__("rb")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return opened_stdin() if value == STDIN else super().convert(value, param, ctx)


def opened_stdin() -> BinaryIO:
    """Raises UsageError if it was closed when the program started: that is no empty input."""
    stdin = cast("Any", sys.stdin)
    if stdin is None:
        raise click.UsageError(
            "Stdin is closed. Give it a file or a pipe, or name a file.",
            click.get_current_context(),
        )
    return cast("BinaryIO", stdin.buffer)

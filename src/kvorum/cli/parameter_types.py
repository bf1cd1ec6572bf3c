"""The types of options and arguments that click lacks: paths, durations, files to read."""

from __future__ import annotations

import math
import sys
from typing import Any, BinaryIO, Final, cast

import click

STDIN: Final = "-"


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

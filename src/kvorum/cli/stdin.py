"""The program's stdin, where a command reads it under the name '-'."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO, Final, cast

import click

STDIN: Final = "-"


def opened_stdin() -> BinaryIO:
    """Raises UsageError if it was closed when the program started: that is no empty input."""
    stdin = cast("Any", sys.stdin)
    if stdin is None:
        raise click.UsageError(
            "Stdin is closed. Give it a file or a pipe, or name a file.",
            click.get_current_context(),
        )
    return cast("BinaryIO", stdin.buffer)


class InputFile(click.File):
    """A file whose bytes are read; '-' is stdin."""

    def __init__(self) -> None:
        super().__init__("rb")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return opened_stdin() if value == STDIN else super().convert(value, param, ctx)

"""The paths of files and directories that a command is given."""

from __future__ import annotations

from typing import Any

import click


class NonEmptyPath(click.Path):
    """An empty path, as of a variable that is not set, would mean the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("The path is empty.", param, ctx)
        return super().convert(value, param, ctx)

"""What the commands here share: where data goes, how the outcome is told, what it stands beside."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import disk

from kvorum import __version__
from kvorum.bench import machine

COUNT: Final = click.IntRange(min=1)

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--work-dir",
        type=click.Path(file_okay=False, exists=True, path_type=Path),
        default=tempfile.gettempdir(),
        show_default=True,
        help="Where data directories are made, and removed again.",
    ),
    click.option("-o", "--output", type=click.Choice(("table", "json")), default="table"),
    click.option(
        "--save", type=click.Path(dir_okay=False, path_type=Path), help="Also as JSON, here."
    ),
)


def options(command: _Command) -> _Command:
    """--work-dir, --output and --save."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where the outcome of a command goes."""

    output: str
    save: Path | None

    def show(self, document: dict[str, Any], table: str) -> None:
        """Print `document` or `table`, as --output has it."""
        text = json.dumps(document, indent=2)
        if self.save is not None:
            self.save.write_text(text + "\n")
        click.echo(text if self.output == "json" else table)


def circumstances(work_dir: Path) -> dict[str, Any]:
    """The time, the version, the machine and its disk: measure it before anything runs.

    Raises ConfigError if `work_dir` is not on a disk.
    """
    disk.check(work_dir)
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "kvorum": __version__,
        "machine": {
            **machine.facts(),
            "load_average": os.getloadavg(),
            "sync_ms": disk.sync_ms(work_dir),
        },
    }

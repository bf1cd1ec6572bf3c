"""`kvorum demo`: three nodes, real data, one of them killed, nothing lost.

stdout gets the result alone. What happens on the way is told on stderr: with progress bars
if that is a terminal, else a line for each step.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from kvorum.cli.output import output_option, print_json
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.signals import stop_signals, unless
from kvorum.cli.trials.demo_screen import print_summary, screen
from kvorum.demo import characters, story
from kvorum.demo.audience import Audience
from kvorum.demo.report import Report
from kvorum.model.errors import StorageError
from kvorum.runtime.loop import run


@click.command()
@click.option(
    "--keep",
    type=NonEmptyPath(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the data in DIR. Otherwise nothing is left behind.",
)
@output_option
def demo(keep: Path | None, output: str) -> None:
    """See a cluster of three nodes lose a node and no data, in under a minute.

    It stores the characters that Unicode gives a name to, kills a node in the middle of an
    update, starts it again, and compares every entry with what was written.

    \b
    kvorum demo
    kvorum demo --keep data && kvorum up --data-dir data
    """
    with _directory(keep) as directory, screen() as audience:
        report = run(_play(directory, audience))
    if report is None:
        raise KeyboardInterrupt
    if output == "json":
        print_json(report)
    else:
        print_summary(report)
    if keep is not None:
        command = f"kvorum up --data-dir {shlex.quote(str(keep))}"
        click.echo(f"The data is kept. To have it back: {command}", err=True)
    _check(report)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="kvorum-demo-") as directory:
        yield Path(directory)


async def _play(directory: Path, audience: Audience) -> Report | None:
    """What came of it, or None if it was interrupted."""
    # The first signal already ends it as fast as it can.
    with stop_signals(again=lambda: None) as stop:
        return await unless(
            stop, story.play(directory, list(characters.named_characters()), audience)
        )


def _check(report: Report) -> None:
    """Raises StorageError if the cluster did not give back what was written."""
    if not report.ok:
        keys = ", ".join(map(repr, [*report.lost_keys, *report.mismatched_keys]))
        raise StorageError(
            f"Of the acknowledged entries, {report.lost} lost and {report.mismatched} mismatched: "
            f"{keys}. This is a fault of kvorum; please report it."
        )

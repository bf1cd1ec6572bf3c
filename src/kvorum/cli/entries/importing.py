"""`kvorum import`: store the entries of a file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Coroutine
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from kvorum.cli.connection import asks_namespace
from kvorum.cli.entries.options import give_up_after_option
from kvorum.cli.entries.sealed_files import key_option, unsealed
from kvorum.cli.errors import NEXT_STEP, ExitCode, Interrupted, one_line
from kvorum.cli.moments import now_ms
from kvorum.cli.output import output_option, print_json, print_table
from kvorum.cli.paths import NonEmptyPath
from kvorum.cli.stdin import STDIN, opened_stdin
from kvorum.model.errors import ConfigError, KvorumError

if TYPE_CHECKING:
    from kvorum.cli.entries.checkpoint import Checkpoint, Progress
    from kvorum.cli.entries.csv_lines import CsvShape
    from kvorum.cli.entries.entry_import import Plan
    from kvorum.cli.entries.entry_lines import Lines, Place, Reject
    from kvorum.cli.progress import Bar
    from kvorum.client.url import Target

SAVE_EVERY_S: Final = 1.0
"""How much work a killed import repeats at most."""


def _delimiter(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """A tab may also be written as \\t."""
    if value is None:
        return None
    if value == "\\t":
        return "\t"
    if len(value) != 1 or not value.isascii() or value in '"\r\n\0':
        raise click.BadParameter(f"{value!r} is not one ASCII character that can separate cells.")
    return value


@click.command("import")
@click.argument("file", type=NonEmptyPath(allow_dash=True))
@click.option(
    "--format",
    "kind",
    type=click.Choice(("jsonl", "csv")),
    help="[default: csv if FILE ends with .csv, else jsonl]",
)
@click.option("--key-column", help="CSV: where the keys are.  [default: key]")
@click.option("--typed", is_flag=True, help="CSV: read numbers, true, false and null as such.")
@click.option(
    "--delimiter",
    callback=_delimiter,
    metavar="CHARACTER",
    help="CSV: what is between the cells.  [default: , ; tab or |, as the header has it]",
)
@click.option("--resume", is_flag=True, help="Go on where the checkpoint of FILE says.")
@click.option(
    "--checkpoint",
    "checkpoint_path",
    type=NonEmptyPath(dir_okay=False, path_type=Path),
    help="[default: FILE.kvorum-import]",
)
@click.option("--max-rejected", type=click.IntRange(min=0), help="End when more lines are wrong.")
@give_up_after_option
@click.option("-w", type=click.IntRange(min=1), help="Replicas that must have each entry.")
@click.option(
    "--keep-versions", is_flag=True, help="FILE is of 'kvorum export --versions'; merge it in."
)
@key_option
@asks_namespace
@output_option
def import_file(
    target: Target,
    file: str,
    kind: str | None,
    key_column: str | None,
    typed: bool,
    delimiter: str | None,
    resume: bool,
    checkpoint_path: Path | None,
    max_rejected: int | None,
    give_up_after: float,
    w: int | None,
    keep_versions: bool,
    key: str | None,
    output: str,
) -> None:
    """Store the entries of FILE; '-' is stdin.

    JSON Lines has {"key": ..., "value": ...} on each line; it is what 'kvorum export' writes.
    CSV has a header; the column "key" holds the keys, and the other columns become an
    object, or if there is only one and it is called "value", its cells are the values. Columns
    may be separated by a comma, a semicolon, a tab or a vertical bar.

    "metadata" may hold "ttl", in seconds, or "expiresAt", in milliseconds since 1970; what has
    expired already is left out and counted.

    A line that is wrong is reported and left out, and the exit code is 6 in the end. What is
    interrupted can be taken up with --resume; importing a line twice does no harm.

    With --keep-versions the records go in with their versions, and merge with what the cluster
    has: what was written or deleted since stays so.

    \b
    kvorum import people.jsonl
    kvorum import cities.csv --key-column geonameid --typed
    zcat big.jsonl.gz | kvorum import -
    """
    from kvorum.cli.entries.csv_lines import DEFAULT_KEY_COLUMN, CsvShape
    from kvorum.cli.entries.entry_import import Plan

    is_csv = kind == "csv" if kind else file.endswith(".csv")
    for_csv = {"--key-column": key_column, "--delimiter": delimiter, "--typed": typed or None}
    option = next((name for name, given in for_csv.items() if given is not None), None)
    if not is_csv and option is not None:
        raise click.UsageError(f"{option} is for CSV; leave it out, or add --format csv")
    job = _Job(
        target,
        file,
        CsvShape(key_column or DEFAULT_KEY_COLUMN, typed, delimiter) if is_csv else None,
        Plan(w, give_up_after, max_rejected),
        as_json=output == "json",
        keep_versions=keep_versions,
    )
    if keep_versions and job.csv is not None:
        raise click.UsageError("--keep-versions is for files of 'kvorum export --versions'")
    with _open(file, key) as source:
        checkpoint = _checkpoint(job, source, checkpoint_path, resume)
        summary = _import(job, source, checkpoint, resume)
    _print_summary(summary, job.as_json)
    if summary.rejected:
        click.get_current_context().exit(ExitCode.REFUSED)


class _Job(NamedTuple):
    target: Target
    file: str
    csv: CsvShape | None
    plan: Plan
    as_json: bool
    keep_versions: bool


class _Summary(NamedTuple):
    file: str
    stored: int
    rejected: int
    expired: int
    seconds: float
    entries_per_s: float


def _open(file: str, key: str | None) -> BufferedReader:
    if file == STDIN:
        return unsealed(opened_stdin(), key)
    try:
        return unsealed(Path(file).open("rb"), key)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error


def _checkpoint(
    job: _Job, source: BufferedReader, path: Path | None, resume: bool
) -> Checkpoint | None:
    """None where there can be none, because what is read cannot be read again."""
    from kvorum.cli.entries.checkpoint import SUFFIX, Checkpoint

    if job.file == "-" or not source.seekable():
        if resume or path is not None:
            raise click.UsageError(
                f"wanted a file to resume or keep a checkpoint of, got {job.file}",
                click.get_current_context(),
            )
        return None
    path = path or Path(f"{job.file}{SUFFIX}")
    checkpoint = Checkpoint(path, source, job.target.namespace)
    if not resume and checkpoint.exists():
        _note(f"starting anew; {path} is there, so --resume would have gone on", job.as_json)
    return checkpoint


def _import(
    job: _Job, source: BufferedReader, checkpoint: Checkpoint | None, resume: bool
) -> _Summary:
    from kvorum.cli.entries.checkpoint import Progress
    from kvorum.cli.progress import progress_bar
    from kvorum.runtime.loop import run

    done = checkpoint.load() if checkpoint and resume else Progress()
    total = os.fstat(source.fileno()).st_size if checkpoint else None
    began = time.monotonic()
    with progress_bar(f"import {job.file}", total) as bar:
        watch = _Watch(job, checkpoint, bar, done)
        try:
            work = (
                _run_records(job, source, watch)
                if job.keep_versions
                else _run(job, _read(source, job.csv, done.place), watch)
            )
            # Without a checkpoint there is nothing to tell, and the input may be long in coming.
            run(_until_stopped(work) if checkpoint else work)
        except BaseException as error:
            watch.interrupted(error)
            raise
    if checkpoint:
        checkpoint.remove()
    seconds = time.monotonic() - began
    stored = watch.done.stored - done.stored
    return _Summary(
        job.file,
        watch.done.stored,
        watch.done.rejected,
        watch.done.expired,
        round(seconds, 3),
        round(stored / seconds),
    )


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Raises Interrupted if a signal ended it."""
    from kvorum.cli.signals import stop_signals, unless

    with stop_signals(again=lambda: None) as stop:
        await unless(stop, work)
    if stop.is_set():
        raise Interrupted


async def _run_records(job: _Job, source: BufferedReader, watch: _Watch) -> None:
    from kvorum.cli.entries import record_lines
    from kvorum.cli.entries.record_import import RecordImport
    from kvorum.client.asynchronous import AsyncClient

    lines = record_lines.read(source, job.target.namespace, watch.done.place)
    async with AsyncClient(job.target) as client:
        await client.status()
        work = RecordImport(client, job.plan, watch.done, watch.on_reject, watch.on_progress)
        await work.run(lines)


async def _run(job: _Job, lines: Lines, watch: _Watch) -> None:
    from kvorum.cli.entries.entry_import import Import
    from kvorum.client.asynchronous import AsyncClient

    async with AsyncClient(job.target) as client:
        await client.status()  # if nobody is there, say so at once and not when patience ends
        work = Import(client, job.plan, watch.done, watch.on_reject, watch.on_progress, now_ms)
        await work.run(lines)


def _read(source: BufferedReader, shape: CsvShape | None, place: Place) -> Lines:
    from kvorum.cli.entries import record_lines
    from kvorum.cli.entries.csv_lines import read_csv
    from kvorum.cli.entries.entry_lines import read_json_lines

    if shape is not None:
        return read_csv(source, shape, place)
    if place.offset:
        source.seek(place.offset)
    elif record_lines.begins(source.peek(1)):
        raise ConfigError(
            "wanted a file of entries, got one of 'kvorum export --versions'; add --keep-versions"
        )
    return read_json_lines(source, place)


class _Watch:
    """Shows how an import goes, and keeps its checkpoint."""

    def __init__(self, job: _Job, checkpoint: Checkpoint | None, bar: Bar, done: Progress) -> None:
        self.done = done
        self._job = job
        self._checkpoint = checkpoint
        self._bar = bar
        self._saved_at = float("-inf")

    def on_reject(self, line: Reject) -> None:
        if self._job.as_json:
            self._bar.say(json.dumps({"line": line.line, "reason": line.reason}))
        else:
            self._bar.say(f"line {line.line}: {one_line(line.reason)}")

    def on_progress(self, done: Progress) -> None:
        self.done = done
        self._bar.show(done.offset, done.stored)
        if time.monotonic() - self._saved_at >= SAVE_EVERY_S:
            self._save()

    def interrupted(self, error: BaseException) -> None:
        """Leave a checkpoint, and say how to go on."""
        if self._checkpoint is None or self.done.line == 0:
            return
        self._save()
        step = f"{self.done.line} lines are done, and --resume goes on behind them"
        if isinstance(error, KvorumError):
            error.details[NEXT_STEP] = step
        elif isinstance(error, KeyboardInterrupt | Interrupted):
            _note(step, self._job.as_json)

    def _save(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.save(self.done)
            self._saved_at = time.monotonic()


def _print_summary(summary: _Summary, as_json: bool) -> None:
    if as_json:
        print_json(summary._asdict())
    else:
        print_table(
            f"import of {summary.file}",
            ("#stored", "#rejected", "#expired", "#seconds", "#entries/s"),
            [
                (
                    f"{summary.stored:,}",
                    f"{summary.rejected:,}",
                    f"{summary.expired:,}",
                    f"{summary.seconds:.1f}",
                    f"{summary.entries_per_s:,}",
                )
            ],
        )


def _note(text: str, as_json: bool) -> None:
    click.echo(json.dumps({"note": text}) if as_json else f"note: {one_line(text)}", err=True)

"""`kvorum import`: store the entries of a file."""

from __future__ import annotations

import hashlib
import json
import os
import time
from io import BufferedReader
from pathlib import Path
from typing import Final, NamedTuple

import click

from kvorum.cli.bulk.entry_sink import EntrySink
from kvorum.cli.bulk.items import Place, Reject
from kvorum.cli.bulk.options import give_up_after_option
from kvorum.cli.bulk.pipeline import Limits, Progress
from kvorum.cli.bulk.position import PositionFile, Task
from kvorum.cli.bulk.record_sink import RecordSink
from kvorum.cli.bulk.run import store_all
from kvorum.cli.bulk.watch import Watch
from kvorum.cli.connection import asks_namespace, w_option
from kvorum.cli.entries import record_lines
from kvorum.cli.entries.csv_lines import DEFAULT_KEY_COLUMN, CsvShape, read_csv
from kvorum.cli.entries.entry_lines import Lines, read_json_lines
from kvorum.cli.entries.file_kinds import (
    BLOCK_BYTES,
    refuse_known_binary,
    refuse_unknown_binary,
)
from kvorum.cli.entries.sealed_files import key_option, unsealed
from kvorum.cli.errors import ExitCode, one_line
from kvorum.cli.moments import now_ms
from kvorum.cli.output import note, output_option, print_result
from kvorum.cli.parameter_types import STDIN, CountOrAll, NonEmptyPath, opened_stdin
from kvorum.cli.progress import Bar, progress_bar
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.url import Target
from kvorum.model.errors import ConfigError

_SUFFIX: Final = ".kvorum-import"
_SAMPLE_BYTES: Final = 64 * 1024


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
    help="The format of FILE.  [default: csv if it ends with .csv, else jsonl]",
)
@click.option("--key-column", help="CSV: where the keys are.  [default: key]")
@click.option("--typed", is_flag=True, help="CSV: read numbers, true, false and null as such.")
@click.option(
    "--delimiter",
    callback=_delimiter,
    metavar="CHARACTER",
    help="CSV: the character between the cells.  [default: , ; tab or |, as the header has it]",
)
@click.option(
    "--resume", is_flag=True, help="Go on where the checkpoint of FILE says, and do not begin anew."
)
@click.option(
    "--checkpoint",
    "checkpoint_path",
    type=NonEmptyPath(dir_okay=False, path_type=Path),
    help="The file that notes how far the import is.  [default: FILE.kvorum-import]",
)
@click.option(
    "--max-rejected",
    type=CountOrAll(),
    metavar="N|all",
    default=100,
    help="End when more lines than this are rejected; 'all' never ends it.",
)
@give_up_after_option
@w_option
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

    A JSON Lines file has {"key": ..., "value": ...} on each line, as 'kvorum export' writes it. Its
    "metadata" may hold "ttl", in seconds, or "expiresAt", in milliseconds since 1970. Entries that
    have expired are left out and counted.

    A CSV file begins with a header. The column "key" holds the keys. If there is one other column
    and it is called "value", it holds the values; else each row becomes an object of its other
    columns. Columns may be separated by a comma, a semicolon, a tab or a vertical bar.

    A wrong line is reported and left out; the exit code is then 6. The import ends when there are
    more of these than --max-rejected. A file that is no UTF-8 text is refused before anything is
    imported.

    After an interruption --resume goes on where the import stopped. Without it the import begins
    anew and forgets its checkpoint. Importing a line twice does no harm.

    With --keep-versions the records keep their versions and merge with those of the cluster:
    whatever was written or deleted there since the export stays.

    \b
    kvorum import people.jsonl
    kvorum import cities.csv --key-column geonameid --typed
    kvorum import scraped.jsonl --max-rejected all
    zcat big.jsonl.gz | kvorum import -
    """
    is_csv = kind == "csv" if kind else file.endswith(".csv")
    for_csv = {"--key-column": key_column, "--delimiter": delimiter, "--typed": typed or None}
    option = next((name for name, given in for_csv.items() if given is not None), None)
    if not is_csv and option is not None:
        raise click.UsageError(f"{option} is for CSV: leave it out, or add --format csv.")
    if keep_versions and is_csv:
        raise click.UsageError("--keep-versions is for files of 'kvorum export --versions'.")
    job = _Job(
        target,
        file,
        CsvShape(key_column or DEFAULT_KEY_COLUMN, typed, delimiter) if is_csv else None,
        w,
        Limits(give_up_after, max_rejected),
        as_json=output == "json",
        keep_versions=keep_versions,
    )
    with _open(file, key) as source:
        _refuse_binary(source, job)
        position = _position(job, source, checkpoint_path, resume)
        summary = _import(job, source, position, resume)
    counts = (f"{n:,}" for n in (summary.stored, summary.rejected, summary.expired))
    row = (*counts, f"{summary.seconds:.1f}", f"{summary.entries_per_s:,}")
    columns = ("#stored", "#rejected", "#expired", "#seconds", "#entries/s")
    print_result(output, summary._asdict(), f"import of {file}", columns, [row])
    if summary.rejected:
        click.get_current_context().exit(ExitCode.REFUSED)


class _Job(NamedTuple):
    target: Target
    file: str
    csv: CsvShape | None
    w: int | None
    limits: Limits
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
        raise ConfigError(
            f"The file {file} cannot be read: {error.strerror}. Name one that can."
        ) from error


def _refuse_binary(source: BufferedReader, job: _Job) -> None:
    """Raises ConfigError, and reads nothing."""
    block = source.peek(BLOCK_BYTES)
    csv = job.csv is not None or ".csv" in Path(job.file).suffixes
    refuse_known_binary(block, job.file, csv=csv)
    if job.limits.max_rejected is not None:
        refuse_unknown_binary(block, job.file, csv=csv)


def _position(
    job: _Job, source: BufferedReader, path: Path | None, resume: bool
) -> PositionFile | None:
    """None where there can be none, because what is read cannot be read again."""
    if job.file == STDIN or not source.seekable():
        if resume or path is not None:
            raise click.UsageError(
                f"--resume and --checkpoint need a file that can be read again, and {job.file} "
                "is none: leave them out.",
                click.get_current_context(),
            )
        return None
    path = path or Path(f"{job.file}{_SUFFIX}")
    namespace = job.target.namespace
    options = ["no --namespace" if namespace is None else f"--namespace {namespace}"]
    task = Task("an import", "lines", options)
    position = PositionFile(path, task, lambda place: _digest(source, place), "--checkpoint")
    if not resume and position.exists():
        note(f"starting anew; {path} was there, so --resume would have gone on", job.as_json)
    return position


def _digest(source: BufferedReader, place: Place) -> str:
    """Of the file up to `place`, by its first and last bytes there."""
    count = min(_SAMPLE_BYTES, place.offset)
    first = os.pread(source.fileno(), count, 0)
    last = os.pread(source.fileno(), count, place.offset - count)
    return hashlib.blake2b(first + last, digest_size=16).hexdigest()


def _import(
    job: _Job, source: BufferedReader, position: PositionFile | None, resume: bool
) -> _Summary:
    before = position.begin(resume=resume) if position else Progress()
    total = os.fstat(source.fileno()).st_size if position else None
    began = time.monotonic()
    with progress_bar(f"import {job.file}", total) as bar:

        def on_reject(line: Reject) -> None:
            _tell(line, bar, job.as_json)

        watch = Watch(before, bar, lambda at: at.offset, on_reject, position, as_json=job.as_json)
        done = _store(job, source, watch)
    seconds = time.monotonic() - began
    rate = round((done.stored - before.stored) / seconds)
    return _Summary(job.file, done.stored, done.rejected, done.expired, round(seconds, 3), rate)


def _tell(line: Reject, bar: Bar, as_json: bool) -> None:
    if as_json:
        bar.say(json.dumps({"line": line.line, "reason": line.reason}))
    else:
        bar.say(f"line {line.line}: {one_line(line.reason)}")


def _store(job: _Job, source: BufferedReader, watch: Watch) -> Progress:
    place = watch.done.place
    client = AsyncClient(job.target)
    if job.keep_versions:
        records = record_lines.read(source, job.target.namespace, place)
        return store_all(client, RecordSink(client, job.w), records, job.limits, watch)
    entries = _read(source, job.csv, place)
    return store_all(client, EntrySink(client, job.w, now_ms), entries, job.limits, watch)


def _read(source: BufferedReader, shape: CsvShape | None, place: Place) -> Lines:
    if shape is not None:
        return read_csv(source, shape, place)
    if place.offset:
        source.seek(place.offset)
    elif record_lines.begins(source.peek(1)):
        raise ConfigError(
            "The file is one of 'kvorum export --versions'. To import it, add --keep-versions."
        )
    return read_json_lines(source, place)

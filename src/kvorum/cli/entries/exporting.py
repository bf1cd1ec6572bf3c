"""`kvorum export`: write all entries of a namespace as JSON Lines."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import click

from kvorum.cli.connection import asks_namespace, open_client
from kvorum.cli.entries.sealed_files import key_option, sealed
from kvorum.cli.output import output_option, print_json, print_table
from kvorum.cli.paths import NonEmptyPath
from kvorum.model.errors import ConfigError

if TYPE_CHECKING:
    from kvorum.client.entry import Entry, Sibling
    from kvorum.client.synchronous import Client
    from kvorum.client.url import Target

_SHOW_EVERY: Final = 100
_PAGE: Final = 500


@click.command()
@click.argument("file", type=NonEmptyPath(allow_dash=True), default="-")
@click.option("--versions", is_flag=True, help="With versions, for 'import --keep-versions'.")
@click.option("--encrypt", is_flag=True, help="Seal it with the key that --key names.")
@key_option
@asks_namespace
@output_option
def export(
    target: Target, file: str, versions: bool, encrypt: bool, key: str | None, output: str
) -> None:
    """Write every entry to FILE, one JSON object a line; without FILE, to stdout.

    The lines are what 'kvorum import' reads: {"key": ..., "value": ...}, where the value is
    bytes or expires also "metadata", and where there are concurrent values also "siblings". FILE is
    replaced when all is written, and stays as it is if that fails. What is written to the
    cluster meanwhile may or may not be in it.

    With --versions each line holds a record as the cluster has it, siblings and all; imported
    with --keep-versions it merges with what is there.

    \b
    kvorum export backup.jsonl
    kvorum export --versions --encrypt --key file:export.key backup.sealed
    kvorum export --namespace people | gzip > people.jsonl.gz
    """
    if encrypt != (key is not None):
        raise click.UsageError("wanted --encrypt with the source of a key, as in --key file:PATH")
    began = time.monotonic()
    count = _export(target, file, versions, key)
    seconds = time.monotonic() - began
    if file == "-":
        return
    if output == "json":
        print_json({"file": file, "entries": count, "seconds": round(seconds, 3)})
    else:
        print_table(
            f"export to {file}",
            ("#entries", "#seconds", "#entries/s"),
            [(f"{count:,}", f"{seconds:.1f}", f"{count / seconds:,.0f}")],
        )


def _export(target: Target, file: str, versions: bool, key: str | None) -> int:
    from kvorum.cli.progress import progress_bar

    count = 0
    with ExitStack() as stack:
        client = stack.enter_context(open_client(target))
        out = stack.enter_context(_opened(file))
        bar = stack.enter_context(progress_bar("export", None))
        if key is not None:
            out = stack.enter_context(sealed(out, key))
        for line in _records(client, target, out) if versions else map(_line, client.scan()):
            out.write(line)
            count += 1
            if count % _SHOW_EVERY == 0:
                bar.show(0, count)
    return count


def _records(client: Client, target: Target, out: IO[bytes]) -> Iterator[bytes]:
    from kvorum.cli.entries import record_lines
    from kvorum.client import record_requests

    out.write(record_lines.HEADER)
    cursor: str | None = None
    while True:
        request = record_requests.page(target.namespace, cursor, _PAGE)
        page = record_requests.found(client.ask(request))
        yield from map(record_lines.line, page.records)
        cursor = page.cursor
        if cursor is None:
            return


def _line(entry: Entry) -> bytes:
    key = json.dumps(entry.key, ensure_ascii=False).encode()
    siblings = b""
    if entry.siblings:
        siblings = b', "siblings": [%b]' % b", ".join(
            b"{%b}" % _members(one) for one in entry.siblings
        )
    return b'{"key": %b, %b%b}\n' % (key, _members(entry), siblings)


def _members(one: Entry | Sibling) -> bytes:
    metadata: dict[str, str | int] = {"encoding": "base64"} if one.binary else {}
    if one.expires_at is not None:
        metadata["expiresAt"] = one.expires_at
    shown = b', "metadata": %b' % json.dumps(metadata).encode() if metadata else b""
    return b'"value": %b%b' % (_on_one_line(one.json), shown)


def _on_one_line(text: bytes) -> bytes:
    """In JSON a line break as such is only ever space between tokens."""
    return text.replace(b"\n", b" ").replace(b"\r", b" ")


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    """Raises ConfigError if the file cannot be written."""
    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file).resolve()
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as device:
                yield device
        else:
            with _replacing(path) as part:
                yield part
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` once it is complete and on disk."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

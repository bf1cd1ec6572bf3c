"""`kvorum export`: write all entries of a namespace as JSON Lines."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Final, NoReturn

import click

from kvorum.cli.connection import asks_namespace, open_client
from kvorum.cli.entries import export_target, record_lines
from kvorum.cli.entries.sealed_files import key_option, sealed
from kvorum.cli.errors import Incomplete, one_line
from kvorum.cli.output import output_option, print_result
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.progress import progress_bar
from kvorum.client import record_requests
from kvorum.client.entry import Entry, Sibling
from kvorum.client.listing import described, documents
from kvorum.client.many_keys import PAGE_ENTRIES
from kvorum.client.synchronous import Client
from kvorum.client.url import Target
from kvorum.model.request import Unreadable

_Page = tuple[Iterable[bytes], Sequence[Unreadable], str | None]
"""Its lines, what is left out of it, and where the next one begins."""

_SHOW_EVERY: Final = 100


@click.command()
@click.argument("file", type=NonEmptyPath(allow_dash=True), default="-")
@click.option("--versions", is_flag=True, help="Export records with their versions.")
@click.option("--encrypt", is_flag=True, help="Encrypt the file with the key that --key names.")
@key_option
@asks_namespace
@output_option
def export(
    target: Target, file: str, versions: bool, encrypt: bool, key: str | None, output: str
) -> None:
    """Write every entry to FILE, one JSON object a line; without FILE, to stdout.

    'kvorum import' reads these lines: {"key": ..., "value": ...}. A value that is bytes or that
    expires also has "metadata"; a key with concurrent values also has "siblings". FILE is replaced
    when all is written, and stays as it was if that fails. Only its owner can read a new FILE. What
    is written to the cluster meanwhile may or may not be in it.

    With --versions each line holds a record with its versions and siblings. Import such a file with
    --keep-versions to merge it with what the cluster has.

    A record that is damaged on so many nodes that its value is not certain is left out and named;
    the exit code is then 7.

    \b
    kvorum export backup.jsonl
    kvorum export --versions --encrypt --key file:export.key backup.sealed
    kvorum export --namespace people | gzip > people.jsonl.gz
    """
    if encrypt != (key is not None):
        raise click.UsageError(
            "--encrypt and --key belong together: add the one that is missing, as in --encrypt "
            "--key file:PATH."
        )

    file = export_target.named(file)
    began = time.monotonic()
    count, unreadable = _export(target, file, versions, key)
    seconds = time.monotonic() - began
    if file != export_target.STDOUT:
        _report(file, count, unreadable, seconds, output)
    if unreadable:
        _refuse(unreadable, output)


def _report(
    file: str, count: int, unreadable: Sequence[Unreadable], seconds: float, output: str
) -> None:
    summary = {"file": file, "entries": count, "seconds": round(seconds, 3)}
    summary |= {"unreadable": documents(unreadable)}
    row = (f"{count:,}", f"{seconds:.1f}", f"{count / seconds:,.0f}")
    print_result(
        output, summary, f"export to {file}", ("#entries", "#seconds", "#entries/s"), [row]
    )


def _refuse(unreadable: Sequence[Unreadable], output: str) -> NoReturn:
    """Name what the export lacks, each on a line of its own. Raises Incomplete."""
    if output != "json":
        for one in unreadable:
            click.echo(one_line(f"not exported: {described(one)}"), err=True)
    raise Incomplete(
        f"{len(unreadable)} damaged records could not be read and are not in the export, which has "
        "all others; see 'kvorum status', and overwrite or delete them, or restore a snapshot.",
        unreadable=documents(unreadable),
    )


def _export(
    target: Target, file: str, versions: bool, key: str | None
) -> tuple[int, list[Unreadable]]:
    """How many entries were written, and what could not be."""
    count = 0
    unreadable: dict[str, Unreadable] = {}
    with ExitStack() as stack:
        client = stack.enter_context(open_client(target))
        out = stack.enter_context(export_target.opened(file))
        bar = stack.enter_context(progress_bar("export", None))
        if key is not None:
            out = stack.enter_context(sealed(out, key))
        if versions:
            out.write(record_lines.HEADER)
        for lines, more, _ in _pages(client, target, versions):
            for line in lines:
                out.write(line)
                count += 1
                if count % _SHOW_EVERY == 0:
                    bar.show(0, count)
            # What lies where two pages meet may be on both.
            unreadable.update((described(one), one) for one in more)
    return count, list(unreadable.values())


def _pages(client: Client, target: Target, versions: bool) -> Iterator[_Page]:
    page_from = _records_page if versions else _entries_page
    cursor: str | None = None
    while True:
        page = page_from(client, target, cursor)
        yield page
        cursor = page[-1]
        if cursor is None:
            return


def _entries_page(client: Client, target: Target, cursor: str | None) -> _Page:
    page = client.page(cursor=cursor)
    return map(_line, page.entries), page.unreadable, page.cursor


def _records_page(client: Client, target: Target, cursor: str | None) -> _Page:
    request = record_requests.page(target.namespace, cursor, PAGE_ENTRIES)
    page = record_requests.found(client.ask(request))
    return map(record_lines.line, page.records), page.unreadable, page.cursor


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
    if one.content_type is not None:
        metadata["contentType"] = one.content_type
    if one.expires_at is not None:
        metadata["expiresAt"] = one.expires_at
    shown = b', "metadata": %b' % json.dumps(metadata).encode() if metadata else b""
    return b'"value": %b%b' % (_on_one_line(one.json), shown)


def _on_one_line(text: bytes) -> bytes:
    """In JSON a line break as such is only ever space between tokens."""
    return text.replace(b"\n", b" ").replace(b"\r", b" ")

"""`kvorum ls` and `kvorum count`: the keys that begin with a prefix, and how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click
import msgspec

from kvorum.cli.connection import asks_namespace, open_client
from kvorum.cli.errors import one_line
from kvorum.cli.listing.selected import (
    Selected,
    Stretch,
    count_pages,
    pages,
    selected,
)
from kvorum.cli.listing.unreadable import refuse_unreadable
from kvorum.cli.moments import to_the_second
from kvorum.cli.negative_numbers import TakesNegativeNumbers
from kvorum.cli.output import output_option, print_json, printable
from kvorum.cli.progress import progress_bar
from kvorum.client.entry import Entry
from kvorum.client.synchronous import Client
from kvorum.client.url import Target
from kvorum.model.request import Unreadable

_EXPIRES_PLACES: Final = len("2026-01-01 00:00:00+00:00")
_encode: Final = msgspec.json.Encoder().encode

_Lines = Iterator[tuple[list[str], list[Unreadable]]]
"""The lines of a page, and what is left out of it."""


@click.command("ls", cls=TakesNegativeNumbers)
@click.argument("prefix", default="")
@click.option(
    "-l", "--long", "is_long", is_flag=True, help="Show size in bytes, expiry and version too."
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    help="End after so many keys.  [default: all]",
)
@click.option(
    "--start-after", metavar="KEY", help="Begin behind this key.  [default: at the first one]"
)
@asks_namespace
@output_option
def list_keys(
    target: Target,
    prefix: str,
    is_long: bool,
    limit: int | None,
    start_after: str | None,
    output: str,
) -> None:
    """List the keys that begin with PREFIX, one a line; without PREFIX all keys.

    They come as the servers find them, in the order of a hash. If PREFIX holds a whole hash tag, as
    'user:{7}:', they are sorted. A listing of many keys can be ended at any moment, and taken up
    with --start-after and the last key. A key that is written or deleted meanwhile may or may not
    be listed.

    With '-o json' each line is an object with the member "key".

    A record that is damaged on so many nodes that its value is not certain is left out and named;
    the exit code is then 7.

    \b
    kvorum ls
    kvorum ls user: --limit 20
    kvorum ls user: --long
    kvorum ls user: | sort | less
    """
    entries, stretch = selected(target.namespace, prefix), Stretch(limit, start_after)
    unreadable: list[Unreadable] = []
    lines_of = _long_lines if is_long else _lines
    with open_client(target) as client:
        for lines, left_out in lines_of(client, entries, stretch, output):
            unreadable += left_out
            if lines:
                click.echo("\n".join(lines).encode(errors="backslashreplace"))
    refuse_unreadable(unreadable, "listed", as_json=output == "json")


@click.command(cls=TakesNegativeNumbers)
@click.argument("prefix", default="")
@asks_namespace
@output_option
def count(target: Target, prefix: str, output: str) -> None:
    """Count the keys that begin with PREFIX; without PREFIX all keys.

    The servers look at every key of the namespace, or of one partition if PREFIX holds a whole hash
    tag, as 'user:{7}:'. 'kvorum status' shows the numbers of all namespaces at once.

    \b
    kvorum count
    kvorum count user: --namespace people
    """
    entries = selected(target.namespace, prefix)
    total = 0
    unreadable: list[Unreadable] = []
    with open_client(target) as client, progress_bar("count", None) as bar:
        for part in count_pages(client, entries):
            total += part.counted
            unreadable += part.unreadable
            bar.show(0, total)
    if output == "json":
        print_json({"namespace": entries.namespace_name, "prefix": prefix, "count": total})
    else:
        click.echo(total)
    refuse_unreadable(unreadable, "counted", as_json=output == "json")


def _lines(client: Client, entries: Selected, stretch: Stretch, output: str) -> _Lines:
    for page in pages(client, entries, stretch, keys_only=True):
        if output == "json":
            yield [_json({"key": key}) for key in page.keys], page.unreadable
        else:
            yield list(map(printable, page.keys)), page.unreadable


def _long_lines(client: Client, entries: Selected, stretch: Stretch, output: str) -> _Lines:
    """As a table its columns are as wide as the first page has them."""
    version_places = 0
    for page in pages(client, entries, stretch, keys_only=False):
        if output == "json":
            yield list(map(_json_line, page.entries)), page.unreadable
            continue
        lines = []
        if page.entries and not version_places:
            version_places = max(len(one.version or "") for one in page.entries)
            lines.append(_columns("size", "expires", "version", version_places, "key"))
        lines += [_line(one, version_places) for one in page.entries]
        yield lines, page.unreadable


def _line(one: Entry, version_places: int) -> str:
    expires = to_the_second(one.expires_at)
    return _columns(str(_size(one)), expires, one.version or "", version_places, one_line(one.key))


def _columns(size: str, expires: str, version: str, version_places: int, key: str) -> str:
    return f"{size:>9}  {expires:<{_EXPIRES_PLACES}}  {version:<{version_places}}  {key}"


def _json_line(one: Entry) -> str:
    known: dict[str, Any] = {"key": one.key, "size": _size(one), "version": one.version}
    if one.expires_at is not None:
        known["expires_at"] = one.expires_at
    return _json(known)


def _json(line: dict[str, Any]) -> str:
    return _encode(line).decode()


def _size(one: Entry) -> int:
    """Of the value, in bytes: of its JSON, if it is not bytes."""
    text = one.json
    if not one.binary:
        return len(text)
    base64 = text.strip(b'"')
    return len(base64) // 4 * 3 - base64[-2:].count(b"=")

"""How an entry is printed: its bare value, all that is known of it, or JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import click
import msgspec

from kvorum.cli.moments import to_the_millisecond
from kvorum.cli.output import print_table, printable
from kvorum.client.entry import ClockEntry, Entry, Sibling


def print_value(entry: Entry) -> None:
    """A string and bytes as they are, anything else as JSON. Raises UsageError where bytes would
    go to a terminal."""
    value = entry.value if entry.binary or entry.json.startswith(b'"') else entry.json.decode()
    if isinstance(value, bytes):
        if sys.stdout.isatty():
            raise click.UsageError(
                f"The value is {len(value)} bytes, not text. Send them to a file, or use -o json.",
                click.get_current_context(),
            )
        click.echo(value, nl=False)
    else:
        # As bytes, because click takes escape sequences out of text for a pipe.
        click.echo(printable(value).encode(errors="backslashreplace"))


def print_values(entries: Iterable[Entry]) -> None:
    """A table of keys and values, which are JSON."""
    rows = [(one.key, one.json.decode(), to_the_millisecond(one.expires_at)) for one in entries]
    print_table("entries", ("key", "value", "expires"), rows)


def print_everything(entry: Entry) -> None:
    """With version, clock and siblings."""
    click.echo(f"key      {printable(entry.key)}")
    click.echo(f"version  {entry.version}")
    click.echo(f"hash     {entry.hash}")
    if entry.expires_at is not None:
        click.echo(f"expires  {to_the_millisecond(entry.expires_at)}")
    print_table("clock", ("node", "#counter", "written"), _clock_rows(entry.clock))
    shown: tuple[Entry | Sibling, ...] = entry.siblings or (entry,)
    print_table(
        f"{len(shown)} siblings" if entry.siblings else "value",
        ("value", "hash", "expires"),
        [(one.json.decode(), one.hash, to_the_millisecond(one.expires_at)) for one in shown],
    )


def warn_of_siblings(entry: Entry, *, of_several: bool = False) -> None:
    """On stderr, if there are any; `of_several` entries it is named."""
    if entry.siblings:
        of_key = f" of {printable(entry.key)!r}" if of_several else ""
        click.echo(
            f"note: {len(entry.siblings)} concurrent values{of_key}; see 'kvorum get --all', "
            "resolve with 'kvorum set --version'",
            err=True,
        )


def with_value(entry: Entry) -> dict[str, Any]:
    """Key, value and all else, for programs."""
    return {"key": entry.key, **_shape_of_value(entry), **_shape(entry)}


def as_stored(entry: Entry) -> dict[str, Any]:
    """What a write answers, for programs."""
    return {"key": entry.key, "created": entry.created, **_shape(entry)}


def _shape(entry: Entry) -> dict[str, Any]:
    """Version, clock, hash, expiry and siblings, for programs."""
    known: dict[str, Any] = {"version": entry.version, **_facts(entry)}
    if entry.siblings:
        known["siblings"] = [{**_shape_of_value(one), **_facts(one)} for one in entry.siblings]
    return known


def _clock_rows(clock: tuple[ClockEntry, ...]) -> list[tuple[str, int, str]]:
    return [(one.node, one.counter, to_the_millisecond(one.timestamp)) for one in clock]


def _facts(one: Entry | Sibling) -> dict[str, Any]:
    facts: dict[str, Any] = {"clock": one.clock, "hash": one.hash}
    return facts if one.expires_at is None else {**facts, "expires_at": one.expires_at}


def _shape_of_value(one: Entry | Sibling) -> dict[str, Any]:
    known: dict[str, Any] = {"value": msgspec.Raw(one.json)}
    if one.binary:
        known["encoding"] = "base64"
    return known if one.content_type is None else {**known, "content_type": one.content_type}

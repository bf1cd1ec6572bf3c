"""`kvorum set`, `touch`, `get` and `delete`: entries by their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, Any, TypeVar

import click

from kvorum.cli.connection import asks_namespace, open_client, r_option, w_option, with_options
from kvorum.cli.entries.given_values import KINDS, bytes_of, one_kind, one_source, to_store
from kvorum.cli.entries.option_terms import in_option_terms
from kvorum.cli.entries.printed_entry import (
    as_stored,
    print_everything,
    print_value,
    print_values,
    warn_of_siblings,
    with_value,
)
from kvorum.cli.entries.several import one_by_one, tell_each
from kvorum.cli.listing.deletion import delete_selected
from kvorum.cli.listing.selected import selected
from kvorum.cli.moments import to_the_millisecond
from kvorum.cli.negative_numbers import TakesNegativeNumbers
from kvorum.cli.output import output_option, print_json, printable
from kvorum.cli.parameter_types import InputFile, Ttl
from kvorum.client.entry import Entry
from kvorum.client.requests import Lifetime
from kvorum.client.url import Target

_R = TypeVar("_R")


def _changes(verb: str) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """The options of a command that changes an entry, named as the client's arguments are."""
    return with_options(
        click.option("--version", metavar="V", help=f"{verb} only what this version covers."),
        click.option(
            "--if-version", metavar="V", help=f"{verb} only if the entry is at this version."
        ),
        w_option,
    )


@click.command("set", cls=TakesNegativeNumbers)
@click.argument("key")
@click.argument("value", required=False)
@click.argument("more", nargs=-1, metavar="[KEY VALUE]...")
@click.option("--file", type=InputFile(), help="Take the value from a file; '-' is stdin.")
@click.option("--json", is_flag=True, help="The value must be JSON.")
@click.option("--string", is_flag=True, help="The value is a string.")
@click.option("--bytes", is_flag=True, help="The value is bytes, not JSON.")
@_changes("Replace")
@click.option("--if-absent", is_flag=True, help="Store only if the key has no value.")
@click.option(
    "--ttl",
    type=Ttl(),
    metavar="TIME",
    help="How long the entry lives: seconds, or as in 90s, 1h30m, 7d; 0 is for ever.  "
    "[default: as the namespace says]",
)
@asks_namespace
@output_option
def set_value(
    target: Target,
    key: str,
    value: str | None,
    more: tuple[str, ...],
    file: IO[bytes] | None,
    output: str,
    **how: Any,
) -> None:
    """Store VALUE under KEY, or several values, each under its key.

    VALUE is JSON if it reads as JSON, else a string.

    \b
    kvorum set answer 42                         a number
    kvorum set answer --string 42                a string
    kvorum set user:7 '{"name": "Ada"}'          an object
    kvorum set logo --file logo.png --bytes      bytes
    kvorum set note --file - < note.txt          from stdin
    kvorum set user:7 '{}' --if-version VERSION  only if nobody else was faster
    kvorum set session:7 '{}' --ttl 1h30m        gone after that time
    kvorum set red 1 green 2 blue 3              three keys
    kvorum set mark -- --                        what begins with '-' goes behind '--'

    'kvorum get -o json KEY' prints the version of an entry. To resolve siblings, write with the
    --version of the entry that has them.

    Several values are not stored as one: if a key fails, it is named on stderr, the others are
    stored, and the exit code is 1.
    """
    if how["if_absent"] and how["if_version"] is not None:
        raise click.UsageError("--if-absent and --if-version exclude each other. Give one of them.")
    kind = one_kind({name: how.pop(name) for name in list(how) if name in KINDS})
    if more:
        pairs = {key: to_store(one_source(value, file), kind)}
        _add_pairs(pairs, more, kind)
        _set_several(target, pairs, output, **how)
        return
    stored = to_store(one_source(value, file), kind)
    with in_option_terms(key, if_absent=how["if_absent"]), open_client(target) as client:
        entry = client.set(key, stored, **how)
    _tell_stored(entry, output)
    if output != "json":
        warn_of_siblings(entry)


def _add_pairs(pairs: dict[str, Any], words: Sequence[str], kind: str | None) -> None:
    """Raises UsageError if a key has no value, or is given twice."""
    ctx = click.get_current_context()
    if len(words) % 2:
        raise click.UsageError(
            f"The key {words[-1]!r} has no value. Give a value behind every key.", ctx
        )
    for key, value in zip(words[::2], words[1::2], strict=True):
        if key in pairs:
            raise click.UsageError(f"The key {key!r} is given twice. Give it once.", ctx)
        pairs[key] = to_store(bytes_of(value), kind)


def _set_several(
    target: Target,
    pairs: dict[str, Any],
    output: str,
    *,
    if_absent: bool,
    ttl: int | None,
    w: int | None,
    **versions: str | None,
) -> None:
    _refuse_versions_of_several(versions)
    with open_client(target) as client:
        if if_absent:
            results = one_by_one(
                pairs,
                lambda key: client.set(key, pairs[key], if_absent=True, ttl=ttl, w=w),
                if_absent=True,
            )
        else:
            entries = [(key, value, Lifetime(ttl)) for key, value in pairs.items()]
            results = client.set_each(entries, w=w)

    def tell(stored: list[Entry]) -> None:
        for entry in stored:
            _tell_stored(entry, output)

    tell_each(list(pairs), results, tell, as_json=output == "json")


def _tell_stored(entry: Entry, output: str) -> None:
    if output == "json":
        print_json(as_stored(entry))
    else:
        click.echo(f"{'created' if entry.created else 'updated'} {printable(entry.key)}")


def _refuse_versions_of_several(versions: dict[str, str | None]) -> None:
    """Raises UsageError."""
    for name, version in versions.items():
        if version is not None:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is of one key, and several are given. Give one key, "
                "or leave it out.",
                click.get_current_context(),
            )


@click.command(cls=TakesNegativeNumbers)
@click.argument("key")
@click.argument("ttl", type=Ttl())
@_changes("Touch")
@asks_namespace
@output_option
def touch(target: Target, key: str, ttl: int, output: str, **how: Any) -> None:
    """Let KEY expire TTL from now; 0 means never. Its value stays the same.

    TTL is seconds, or a number with a unit, as in 90s, 5m, 1h30m, 7d or 2w.

    \b
    kvorum touch session:7 3600
    kvorum touch session:7 1h
    kvorum touch session:7 0
    """
    with in_option_terms(key), open_client(target) as client:
        expires_at = client.touch(key, ttl, **how)
    if output == "json":
        print_json({"key": key, "expires_at": expires_at})
    elif expires_at is None:
        click.echo(f"{printable(key)} does not expire")
    else:
        click.echo(f"{printable(key)} expires {to_the_millisecond(expires_at)}")


@click.command(cls=TakesNegativeNumbers)
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@r_option
@click.option("--all", "everything", is_flag=True, help="Show version, clock and siblings too.")
@asks_namespace
@output_option
def get(
    target: Target, keys: tuple[str, ...], r: int | None, everything: bool, output: str
) -> None:
    """Print the value of KEY, or a table of the values of several keys.

    The value of one key is printed as it is if it is a string or bytes, else as JSON.

    \b
    kvorum get answer
    kvorum get logo > logo.png
    kvorum get user:7 --all             its version, clock and siblings
    kvorum get user:7 -o json           the same for programs
    kvorum get red green blue           a table; with -o json, a line for each

    If one of several keys fails, it is named on stderr, the others are printed, and the exit code
    is 1.
    """
    if len(keys) > 1:
        _get_several(target, keys, r, everything, output)
        return
    key = keys[0]
    with in_option_terms(key), open_client(target) as client:
        entry = client.get_entry(key, r=r)
    if output == "json":
        print_json(with_value(entry))
    elif everything:
        print_everything(entry)
    else:
        print_value(entry)
        warn_of_siblings(entry)


def _get_several(
    target: Target, keys: tuple[str, ...], r: int | None, everything: bool, output: str
) -> None:
    with open_client(target) as client:
        results = client.get_entries(keys, r=r)

    def tell(found: list[Entry]) -> None:
        if output == "json":
            for entry in found:
                print_json(with_value(entry))
        elif everything:
            for number, entry in enumerate(found):
                if number:
                    click.echo()
                print_everything(entry)
        else:
            print_values(found)
            for entry in found:
                warn_of_siblings(entry, of_several=True)

    tell_each(keys, results, tell, as_json=output == "json")


@click.command(cls=TakesNegativeNumbers)
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--prefix", help="Delete every key that begins with this; '' is all keys.")
@click.option("--yes", is_flag=True, help="With --prefix: do not ask.")
@_changes("Delete")
@asks_namespace
@output_option
def delete(
    target: Target, keys: tuple[str, ...], prefix: str | None, yes: bool, output: str, **how: Any
) -> None:
    """Delete KEY, several keys, or all keys that begin with a prefix.

    \b
    kvorum delete user:7
    kvorum delete user:7 -o json        prints what was deleted
    kvorum delete red green blue        several keys
    kvorum delete --prefix user:7:      all that begin so; it asks first

    If one of several keys fails, it is named on stderr, the others are deleted, and the exit code
    is 1.

    With --prefix it says how many keys there are, shows some, and asks; --yes is for scripts. It
    is no transaction: a key that is written meanwhile may stay.
    """
    if prefix is not None:
        _refuse_with_prefix(keys, how)
        entries = selected(target.namespace, prefix)
        with open_client(target) as client:
            delete_selected(client, entries, output, ask=not yes)
        return
    if not keys or yes:
        raise click.UsageError(
            "--yes is for --prefix, and there is none. Leave it out."
            if keys
            else "Neither KEY nor --prefix is given. Give one of them.",
            click.get_current_context(),
        )
    if len(keys) > 1:
        _delete_several(target, tuple(dict.fromkeys(keys)), output, **how)
        return
    key = keys[0]
    with in_option_terms(key), open_client(target) as client:
        entry = client.delete(key, **how)
    _tell_deleted(entry, output)


def _refuse_with_prefix(keys: Sequence[str], how: dict[str, Any]) -> None:
    """Raises UsageError for what --prefix cannot be given with."""
    ctx = click.get_current_context()
    if keys:
        raise click.UsageError("KEY and --prefix are both given. Give one of them.", ctx)
    names = {"version": "--version", "if_version": "--if-version", "w": "-w"}
    for name, option in names.items():
        if how[name] is not None:
            raise click.UsageError(
                f"{option} is for keys, and not for --prefix. Leave it out.", ctx
            )


def _delete_several(
    target: Target, keys: Sequence[str], output: str, *, w: int | None, **versions: str | None
) -> None:
    _refuse_versions_of_several(versions)
    with open_client(target) as client:
        results = one_by_one(keys, lambda key: client.delete(key, w=w))

    def tell(deleted: list[Entry]) -> None:
        for entry in deleted:
            _tell_deleted(entry, output)

    tell_each(keys, results, tell, as_json=output == "json")


def _tell_deleted(entry: Entry, output: str) -> None:
    if output == "json":
        print_json(with_value(entry))
    else:
        click.echo(f"deleted {printable(entry.key)}")

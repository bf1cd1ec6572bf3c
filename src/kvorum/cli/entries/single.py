"""`kvorum set`, `touch`, `get` and `delete`: one key at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, TypeVar

import click
import msgspec

from kvorum.cli.connection import asks_namespace, open_client, r_option, w_option, with_options
from kvorum.cli.entries.complaints import plain_words
from kvorum.cli.moments import to_the_millisecond
from kvorum.cli.output import output_option, print_json, print_table, printable
from kvorum.cli.parameter_types import InputFile
from kvorum.client.entry import ClockEntry, Entry, Sibling
from kvorum.client.url import Target
from kvorum.model.errors import InvalidVersion, NotFound, PreconditionFailed
from kvorum.model.topology import TTL_S_MAX

_R = TypeVar("_R")

_KINDS: Final = ("json", "string", "bytes")
_SECONDS: Final = click.IntRange(min=0, max=TTL_S_MAX)


def _changes(verb: str) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """The options of a command that changes an entry, named as the client's arguments are."""
    return with_options(
        click.option("--version", metavar="V", help=f"{verb} only what this version covers."),
        click.option(
            "--if-version", metavar="V", help=f"{verb} only if the entry is at this version."
        ),
        w_option,
    )


@click.command("set")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--file", type=InputFile(), help="Take the value from a file; '-' is stdin.")
@click.option("--json", is_flag=True, help="The value must be JSON.")
@click.option("--string", is_flag=True, help="The value is a string.")
@click.option("--bytes", is_flag=True, help="The value is bytes, not JSON.")
@_changes("Replace")
@click.option("--if-absent", is_flag=True, help="Store only if the key has no value.")
@click.option(
    "--ttl",
    type=_SECONDS,
    metavar="SECONDS",
    help="How long the entry lives; 0 means for ever.  [default: as the namespace says]",
)
@asks_namespace
@output_option
def set_value(
    target: Target, key: str, value: str | None, file: IO[bytes] | None, output: str, **how: Any
) -> None:
    """Store VALUE under KEY.

    VALUE is JSON if it reads as JSON, else a string.

    \b
    kvorum set answer 42                         a number
    kvorum set answer --string 42                a string
    kvorum set user:7 '{"name": "Ada"}'          an object
    kvorum set logo --file logo.png --bytes      bytes
    kvorum set note --file - < note.txt          from stdin
    kvorum set user:7 '{}' --if-version VERSION  only if nobody else was faster
    kvorum set session:7 '{}' --ttl 3600         gone in an hour
    kvorum set depth -- -5                       what begins with '-' goes behind '--'

    'kvorum get -o json KEY' prints the version of an entry. To resolve siblings, write with the
    --version of the entry that has them.
    """
    if how["if_absent"] and how["if_version"] is not None:
        raise click.UsageError("--if-absent and --if-version exclude each other. Give one of them.")
    kind = _one_kind({name: how.pop(name) for name in list(how) if name in _KINDS})
    stored = _value(_one_source(value, file), kind)
    with _in_options(key, if_absent=how["if_absent"]), open_client(target) as client:
        entry = client.set(key, stored, **how)
    if output == "json":
        print_json({"key": key, "created": entry.created, **_shape(entry)})
    else:
        click.echo(f"{'created' if entry.created else 'updated'} {printable(key)}")
        _warn_of_siblings(entry)


@click.command()
@click.argument("key")
@click.argument("ttl", type=_SECONDS)
@_changes("Touch")
@asks_namespace
@output_option
def touch(target: Target, key: str, ttl: int, output: str, **how: Any) -> None:
    """Let KEY expire TTL seconds from now; 0 means never. Its value stays the same.

    \b
    kvorum touch session:7 3600
    kvorum touch session:7 0
    """
    with _in_options(key), open_client(target) as client:
        expires_at = client.touch(key, ttl, **how)
    if output == "json":
        print_json({"key": key, "expires_at": expires_at})
    elif expires_at is None:
        click.echo(f"{printable(key)} does not expire")
    else:
        click.echo(f"{printable(key)} expires {to_the_millisecond(expires_at)}")


@click.command()
@click.argument("key")
@r_option
@click.option("--all", "everything", is_flag=True, help="Show version, clock and siblings too.")
@asks_namespace
@output_option
def get(target: Target, key: str, r: int | None, everything: bool, output: str) -> None:
    """Print the value of KEY.

    A string and bytes are printed as they are, anything else as JSON.

    \b
    kvorum get answer
    kvorum get logo > logo.png
    kvorum get user:7 --all             its version, clock and siblings
    kvorum get user:7 -o json           the same for programs
    """
    with _in_options(key), open_client(target) as client:
        entry = client.get_entry(key, r=r)
    if output == "json":
        print_json(_with_value(entry))
    elif everything:
        _print_everything(entry)
    else:
        _print_value(entry)
        _warn_of_siblings(entry)


@click.command()
@click.argument("key")
@_changes("Delete")
@asks_namespace
@output_option
def delete(target: Target, key: str, output: str, **how: Any) -> None:
    """Delete KEY.

    \b
    kvorum delete user:7
    kvorum delete user:7 -o json        prints what was deleted
    """
    with _in_options(key), open_client(target) as client:
        entry = client.delete(key, **how)
    if output == "json":
        print_json(_with_value(entry))
    else:
        click.echo(f"deleted {printable(key)}")


@contextmanager
def _in_options(key: str, *, if_absent: bool = False) -> Iterator[None]:
    """What is refused about `key` is said in the terms of the command's options."""
    try:
        yield
    except PreconditionFailed as error:
        raise PreconditionFailed(
            f"The key {key!r} has a value already. Leave out --if-absent to replace it."
            if if_absent
            else f"The key {key!r} is not at the version given with --if-version. Look at it with "
            "'kvorum get --all', and decide anew.",
            **error.details,
        ) from error
    except InvalidVersion as error:
        raise InvalidVersion(
            f"The given version is not one of the key {key!r}. Give the one that 'kvorum get "
            "--all' shows.",
            **error.details,
        ) from error
    except NotFound as error:
        raise NotFound(error.message.replace("version=", "--version"), **error.details) from error


def _one_source(value: str | None, file: IO[bytes] | None) -> bytes:
    if (value is None) == (file is None):
        given = "Neither VALUE nor --file is" if file is None else "VALUE and --file are both"
        raise click.UsageError(f"{given} given. Give one of them.", click.get_current_context())
    if file is not None:
        return file.read()
    assert value is not None
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise click.UsageError(
            "VALUE is not UTF-8. Give other bytes with --file.", click.get_current_context()
        ) from error


def _one_kind(kinds: dict[str, bool]) -> str | None:
    """Which of the options that say what a value is was given."""
    given = [name for name, is_given in kinds.items() if is_given]
    if len(given) > 1:
        raise click.UsageError(
            f"--{' and --'.join(given)} exclude each other. Give one of them.",
            click.get_current_context(),
        )
    return given[0] if given else None


def _value(data: bytes, kind: str | None) -> Any:
    """What to store for `data`; JSON stays the text it is."""
    if kind == "bytes":
        return data
    try:
        text = data.decode()
        if kind != "string":
            return msgspec.json.decode(data, type=msgspec.Raw)
    except UnicodeDecodeError as error:
        raise click.UsageError(
            "The value is not UTF-8 text. Store it as bytes with --bytes.",
            click.get_current_context(),
        ) from error
    except (msgspec.DecodeError, RecursionError) as error:
        if kind == "json":
            raise click.UsageError(
                f"The value {text[:40]!r} is not JSON: {plain_words(error, data)}",
                click.get_current_context(),
            ) from error
    return text


def _print_value(entry: Entry) -> None:
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


def _print_everything(entry: Entry) -> None:
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


def _clock_rows(clock: tuple[ClockEntry, ...]) -> list[tuple[str, int, str]]:
    return [(one.node, one.counter, to_the_millisecond(one.timestamp)) for one in clock]


def _warn_of_siblings(entry: Entry) -> None:
    if entry.siblings:
        click.echo(
            f"note: {len(entry.siblings)} concurrent values; see 'kvorum get --all', "
            "resolve with 'kvorum set --version'",
            err=True,
        )


def _with_value(entry: Entry) -> dict[str, Any]:
    return {"key": entry.key, **_shape_of_value(entry), **_shape(entry)}


def _shape(entry: Entry) -> dict[str, Any]:
    shape: dict[str, Any] = {"version": entry.version, **_facts(entry)}
    if entry.siblings:
        shape["siblings"] = [{**_shape_of_value(one), **_facts(one)} for one in entry.siblings]
    return shape


def _facts(one: Entry | Sibling) -> dict[str, Any]:
    facts: dict[str, Any] = {"clock": one.clock, "hash": one.hash}
    return facts if one.expires_at is None else {**facts, "expires_at": one.expires_at}


def _shape_of_value(one: Entry | Sibling) -> dict[str, Any]:
    shape: dict[str, Any] = {"value": msgspec.Raw(one.json)}
    if one.binary:
        shape["encoding"] = "base64"
    return shape if one.content_type is None else {**shape, "content_type": one.content_type}

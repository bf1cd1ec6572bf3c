"""The values that a command line gives: as text, or in a file."""

from __future__ import annotations

from typing import IO, Any, Final

import click
import msgspec

from kvorum.cli.entries.complaints import plain_words

KINDS: Final = ("json", "string", "bytes")
"""The options that say what a value is."""


def bytes_of(value: str) -> bytes:
    """Raises UsageError if it is no text."""
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise click.UsageError(
            "VALUE is not UTF-8. Give other bytes with --file.", click.get_current_context()
        ) from error


def one_source(value: str | None, file: IO[bytes] | None) -> bytes:
    """Raises UsageError unless one of them is given."""
    if (value is None) == (file is None):
        given = "Neither VALUE nor --file is" if file is None else "VALUE and --file are both"
        raise click.UsageError(f"{given} given. Give one of them.", click.get_current_context())
    if file is not None:
        return file.read()
    assert value is not None
    return bytes_of(value)


def one_kind(kinds: dict[str, bool]) -> str | None:
    """Which of KINDS was given. Raises UsageError if more than one was."""
    given = [name for name, is_given in kinds.items() if is_given]
    if len(given) > 1:
        raise click.UsageError(
            f"--{' and --'.join(given)} exclude each other. Give one of them.",
            click.get_current_context(),
        )
    return given[0] if given else None


def to_store(data: bytes, kind: str | None) -> Any:
    """What to store for `data`, as the client takes it; JSON stays the text it is. Raises
    UsageError if it is not what `kind` says."""
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

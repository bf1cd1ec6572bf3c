"""The key of a sealed export: from the source that `--key` names, never from the command line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final, cast

from kvorum.backup.sealed_stream import MAGIC, is_sealed, sealed_reader, sealed_writer
from kvorum.cli.key_sources import source_option
from kvorum.model.errors import ConfigError
from kvorum.sealing.master_key import MasterKey, parse_source

key_option: Final = source_option(
    "--key", what="The key of an encrypted export, 32 bytes as 64 hex digits or base64"
)


@contextmanager
def sealed(out: IO[bytes], key: str) -> Iterator[IO[bytes]]:
    """What is written goes to `out` under the key from the source `key`."""
    with sealed_writer(out, _load(key)) as writer:
        yield writer


def unsealed(source: IO[bytes], key: str | None) -> io.BufferedReader:
    """`source`, or its text if it is sealed. Raises ConfigError, and closes `source`, if the key is
    missing, wrong, or given for nothing."""
    try:
        return _unsealed(source, key)
    except BaseException:
        source.close()
        raise


def _unsealed(source: IO[bytes], key: str | None) -> io.BufferedReader:
    peekable = _buffered(source)
    if not is_sealed(peekable.peek(len(MAGIC))):
        if key is not None:
            raise ConfigError("The file is not encrypted. Leave out --key.")
        return peekable
    if key is None:
        raise ConfigError("The file is encrypted. Name the source of its key with --key.")
    return _buffered(sealed_reader(peekable, _load(key)))


def _buffered(source: IO[bytes]) -> io.BufferedReader:
    if isinstance(source, io.BufferedReader):
        return source
    return io.BufferedReader(cast("io.RawIOBase", source))


def _load(key: str) -> MasterKey:
    return parse_source(key).load()

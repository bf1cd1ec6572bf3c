"""What only works on the stores of nodes that do not run: take notes out, compare records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

from rocksdict import Rdict
from system import NODES
from trio import Trio

from kvorum.model.keys import is_record_key, split_storage_key
from kvorum.storage.engine import EngineSettings, open_engine

_HINTS: Final = (b"h", b"i")
_MARKS: Final = (b"m", b"n")
_RECORDS: Final = b"d"


def remove_hints(trio: Trio, node: int) -> None:
    """All hints and marks of `node`, as if it had never noted who missed what."""
    with _engine(trio, node) as engine:
        for start, end in (_HINTS, _MARKS):
            engine.delete_range(start, end)
        engine.flush_wal(True)


def unequal_records(trio: Trio, prefix: str) -> int:
    """How many keys that begin with `prefix` are not the same bytes on all nodes."""
    contents = [_records(trio, node, prefix) for node in range(NODES)]
    keys = set().union(*contents)
    return sum(len({content.get(key) for content in contents}) > 1 for key in keys)


def _records(trio: Trio, node: int, prefix: str) -> dict[bytes, bytes]:
    with _engine(trio, node) as engine:
        pairs = cast("Iterator[tuple[bytes, bytes]]", engine.items(from_key=_RECORDS))
        # All at once: a live iterator would keep the files locked.
        return {
            key: data
            for key, data in pairs
            if is_record_key(key) and split_storage_key(key)[1].startswith(prefix)
        }


@contextmanager
def _engine(trio: Trio, node: int) -> Iterator[Rdict]:
    engine = open_engine(trio.rocks(node), EngineSettings())
    try:
        yield engine
    finally:
        engine.close()

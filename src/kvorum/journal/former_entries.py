"""Entries where data format 3 had them: pairs of the engine.

    b"j"  number (8)   ->   the entry

They are flushed at the first start with a log of its own for the journal, before that is played
back, and deleted behind what they held, in one log: so a crash repeats it or does not. In
snapshots of that format they are still read (`backup/reading.py`).
"""

from __future__ import annotations

from typing import Final

from kvorum.journal.entries import Entries
from kvorum.journal.memtable import Change
from kvorum.model.errors import CorruptRecord
from kvorum.sealing.seal import is_record
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.storage.store import FlushTarget

START: Final = b"j"
END: Final = b"k"

_PAGE: Final = 64


def number_of(key: bytes) -> int:
    return int.from_bytes(key[1:])


def file_former_entries(
    store: FlushTarget, below: FlushTarget, entries: Entries, shred_horizon: ShredHorizon
) -> str | None:
    """Flush the entries in `store` to `below`, which stands on it, in place of what is there.

    Returns what is wrong with them, if anything: then acknowledged writes may be missing.
    """
    wrong: str | None = None
    last: int | None = None
    cursor = START
    while page := store.scan(cursor, END, _PAGE):
        for key, entry in page:
            number = number_of(key)
            if last is not None and number != last + 1:
                wrong = f"entries {last + 1} to {number - 1} are missing"
            last = number
            try:
                changes = entries.open(number, entry)
            except CorruptRecord as error:
                wrong = error.message
            else:
                _flush_some(changes, below, shred_horizon)
            store.write(key, None)
        cursor = page[-1][0] + b"\0"
    return wrong


def _flush_some(changes: list[Change], below: FlushTarget, shred_horizon: ShredHorizon) -> None:
    for key, value in changes:
        if value is not None and is_record(key):
            value = shred_horizon.without(key, value) or None
        below.write(key, value)

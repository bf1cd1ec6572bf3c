"""The quarantine: which stored pairs do not open, remembered until sound ones take their place.

    b"q"  stored key   ->   JSON: found at (ms), why

A damaged record stays where it is. So a read of its key goes on to fail, which is right: an
answer "absent" would be a lie, and a coordinator that got it might spread it. It is never
served, listed or sent. What the note is for is people, who are told how many there are and
where, also after a restart; and repair, which is told once of each.

Nobody knows the key of a record that does not open, but its token is visible, so the peers
can be asked for what they have around there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from kvorum.documents.storage import DamagedPair, QuarantineStatus
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.spans import TOKEN_BYTES
from kvorum.sealing.seal import is_record, visible_bytes
from kvorum.storage.store import Store

DAMAGES_MAX: Final = 10_000
"""So many are remembered. Where more do not open the disk is worn out, not a record."""

_LISTED_MAX: Final = 20
_WHY_CHARACTERS: Final = 200
START: Final = b"q"
END: Final = b"r"
_LOG: Final = logging.getLogger(__name__)


class Damage(msgspec.Struct, frozen=True):
    found_ms: int
    why: str


class Quarantine:
    """`on_new(stored_key)` is called for each damage that was not known, within `add`."""

    __slots__ = ("_on_new", "_partition_of", "_store", "_wall_ms", "damages", "more", "released")

    def __init__(
        self,
        store: Store,
        partition_of: Callable[[bytes], int],
        wall_ms: Callable[[], int],
        on_new: Callable[[bytes], object],
    ) -> None:
        """`store` is the one below the seal. `partition_of` is given a token."""
        self._store = store
        self._partition_of = partition_of
        self._wall_ms = wall_ms
        self._on_new = on_new
        self.damages = {
            note[1:]: msgspec.json.decode(data, type=Damage)
            for note, data in store.scan(START, END, DAMAGES_MAX)
        }
        self.more = 0
        """How often another was met when the quarantine was full, since start."""
        self.released = 0

    def __len__(self) -> int:
        return len(self.damages)

    def __contains__(self, stored_key: bytes) -> bool:
        return stored_key in self.damages

    def keys(self) -> list[bytes]:
        return list(self.damages)

    def add(self, stored_key: bytes, error: CorruptRecord) -> None:
        """The pair at `stored_key` does not open."""
        if stored_key in self.damages:
            return
        if len(self.damages) >= DAMAGES_MAX:
            self.more += 1
            return
        if not is_record(stored_key):
            self._forget(stored_key)
            return
        damage = Damage(self._wall_ms(), error.message[:_WHY_CHARACTERS])
        self.damages[stored_key] = damage
        self._store.put(START + stored_key, msgspec.json.encode(damage), _ignore, None)
        partition = self._partition(stored_key)
        _LOG.warning("a damaged record in partition %d: %s", partition, damage.why)
        self._on_new(stored_key)

    def _forget(self, note: bytes) -> None:
        """A hint that does not open says nothing: it goes, and whoever it was for is told of."""
        self._store.delete(note, _ignore, None)
        _LOG.warning("a damaged hint in partition %d was removed", self._partition(note))
        self._on_new(note)

    def release(self, stored_key: bytes) -> None:
        """What was damaged there has been replaced or deleted."""
        if self.damages.pop(stored_key, None) is not None:
            self.released += 1
            self._store.delete(START + stored_key, _ignore, None)

    def status(self) -> QuarantineStatus:
        partitions = Counter(map(self._partition, self.damages))
        latest = list(self.damages.items())[-_LISTED_MAX:]
        return QuarantineStatus(
            damaged=len(self.damages),
            more=self.more,
            released=self.released,
            partitions=dict(sorted(partitions.items())),
            latest=[
                DamagedPair(
                    at=stored_key.hex(),
                    partition=self._partition(stored_key),
                    found_ms=damage.found_ms,
                    why=damage.why,
                )
                for stored_key, damage in latest
            ],
        )

    def _partition(self, stored_key: bytes) -> int:
        return self._partition_of(_token(stored_key))


def _token(stored_key: bytes) -> bytes:
    end = visible_bytes(stored_key)
    return stored_key[end - TOKEN_BYTES : end]


def _ignore(_arg: object, _error: StorageError | None) -> None:
    """The store reports its failure to the node; a damage is found again."""

"""The quarantine: a durable list of the stored pairs that do not open, until they are replaced.

    b"q"  stored key   ->   JSON: found at (ms), why

A damaged record stays where it is. So reads of its key keep failing, as they must: an answer
"absent" would be wrong, and a coordinator that got it might replicate it. The record is never
served, listed or sent. The list serves the status, which shows how many there are and where, also
after a restart; listings, which leave out its range; and repair, which is told of each one once.

The key of a record that does not open is unknown. Its token is visible, so the other nodes can be
asked for their records of that token.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from kvorum.documents.storage import DamagedPair, QuarantineStatus
from kvorum.model import prefixes
from kvorum.model.errors import CorruptRecord
from kvorum.model.spans import TOKEN_BYTES
from kvorum.sealing.seal import is_record, visible_bytes
from kvorum.storage.store import FlushTarget

DAMAGES_MAX: Final = 10_000
"""The most that are listed. Where more do not open, the disk is failing."""

_LISTED_MAX: Final = 20
_WHY_CHARACTERS: Final = 200
START: Final = prefixes.QUARANTINE
END: Final = prefixes.end_of(START)
_LOG: Final = logging.getLogger(__name__)


class Damage(msgspec.Struct, frozen=True):
    """When a pair was found not to open (ms since 1970), and why it does not."""

    found_ms: int
    why: str


class Quarantine:
    """The damaged pairs of one store: `damages`, by stored key."""

    def __init__(
        self,
        store: FlushTarget,
        partition_of: Callable[[bytes], int],
        wall_ms: Callable[[], int],
        on_new: Callable[[bytes], object],
    ) -> None:
        """`store` is the one below the seal; notes may be lost, as a damage is found again.
        `partition_of(token)` is a partition's number. `on_new(stored_key)` is called by `add` for
        each damage that was not known.
        """
        self._store = store
        self._partition_of = partition_of
        self._wall_ms = wall_ms
        self._on_new = on_new
        self.damages = {
            note[1:]: msgspec.json.decode(data, type=Damage)
            for note, data in store.scan(START, END, DAMAGES_MAX)
        }
        self.more = 0
        """How often another one was found while the list was full, since the start."""
        self.released = 0
        """How many were replaced or deleted since the start."""

    def add(self, stored_key: bytes, error: CorruptRecord) -> None:
        """List the pair at `stored_key`, which does not open. If it is a hint it is deleted."""
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
        self._store.write(START + stored_key, msgspec.json.encode(damage))
        partition = self._partition(stored_key)
        _LOG.warning("a damaged record in partition %d: %s", partition, damage.why)
        self._on_new(stored_key)

    def _forget(self, note: bytes) -> None:
        """Delete a hint that does not open. `on_new` has its node compare with all others."""
        self._store.write(note, None)
        _LOG.warning("a damaged hint in partition %d was removed", self._partition(note))
        self._on_new(note)

    def release(self, stored_key: bytes) -> None:
        """Take `stored_key` off the list: its pair was replaced or deleted."""
        if self.damages.pop(stored_key, None) is not None:
            self.released += 1
            self._store.write(START + stored_key, None)

    def status(self) -> QuarantineStatus:
        """How many damaged pairs there are, by partition, and the latest ones."""
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

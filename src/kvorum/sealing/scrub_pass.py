"""A pass of the scrubber (`scrub.py`): how far it is, and what it has found.

b"s"   ->   JSON: the bookmark, with which a restarted node resumes the pass
"""

from __future__ import annotations

import msgspec

from kvorum.documents.storage import ScrubbedVolume, ScrubPass
from kvorum.model.prefixes import HINTS_END, RECORD
from kvorum.sealing.seal import dictionary_of, key_id_of, namespace_of


class Pass(msgspec.Struct):
    """One pass over the store. `cursor`: the stored key to go on from. `ended_ms`: 0 until then."""

    began_ms: int
    cursor: bytes = RECORD
    ended_ms: int = 0
    retiring: tuple[int, ...] = ()
    """The data keys that were retiring when it began: those that it can retire."""
    shredded: tuple[int, ...] = ()
    """The data keys that were shredded when it began: when it ends, no record of them is left."""
    removing: dict[str, int] = {}
    """The namespaces that were being removed when it began, with the times of their removals."""
    older: dict[str, tuple[int, ...]] = {}
    """By namespace, the dictionaries that were not the newest when it began."""
    used: dict[str, set[int]] = {}
    """By namespace, the dictionaries of the pairs that it has kept."""
    pairs: int = 0
    resealed: int = 0
    damaged: int = 0
    dropped: int = 0
    by_key: dict[int, int] = {}
    """By data key, how many of the pairs that it has kept are sealed with it; 0 is none."""
    volumes: dict[str, ScrubbedVolume] = {}

    @property
    def walked(self) -> bool:
        """True if it has seen the whole store."""
        return self.cursor >= HINTS_END

    @property
    def rewritten(self) -> int:
        """How many pairs it has resealed or deleted."""
        return self.resealed + self.dropped

    @property
    def fraction(self) -> float:
        """How much of the token space it has walked, 0 to 1. Hints come after all records."""
        if not self.cursor.startswith(RECORD):
            return 1.0
        return int.from_bytes(self.cursor[1:9].ljust(8, b"\0")) / (1 << 64)

    def keep(self, key: bytes, data: bytes, stored_key: bytes, sealed: bytes) -> None:
        """Count a pair that stays in the store."""
        key_id = key_id_of(sealed)
        namespace = namespace_of(key).decode()
        self.by_key[key_id] = self.by_key.get(key_id, 0) + 1
        if dictionary := dictionary_of(sealed):
            self.used.setdefault(namespace, set()).add(dictionary)
        volume = self.volumes.setdefault(namespace, ScrubbedVolume())
        volume.pairs += 1
        volume.logical_bytes += len(key) + len(data)
        volume.stored_bytes += len(stored_key) + len(sealed)

    def unused_dictionaries(self) -> list[tuple[str, int]]:
        """(namespace, id) of each older dictionary that no kept pair uses."""
        return [
            (namespace, dictionary)
            for namespace, older in self.older.items()
            for dictionary in older
            if dictionary not in self.used.get(namespace, ())
        ]

    def document(self) -> ScrubPass:
        """The counts, for people: without what only the scrubber needs."""
        return msgspec.convert(self, ScrubPass, from_attributes=True)


class Bookmark(msgspec.Struct):
    """The note in the store: the pass under way or the last one, and the last complete one."""

    current: Pass
    whole: Pass | None = None


def read_bookmark(note: bytes | None) -> Bookmark | None:
    """None also for a note of another version: then the walk begins anew, which is always safe."""
    try:
        return None if note is None else msgspec.json.decode(note, type=Bookmark)
    except msgspec.DecodeError:
        return None

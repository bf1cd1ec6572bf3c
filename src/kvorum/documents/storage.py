"""What a node tells of its stored records: how far the scrub is, and what is damaged."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a namespace's records, before (`logical_bytes`) and after they were sealed.

    `counted`: "all" of them, or what was written "since start".
    """

    logical_bytes: int
    stored_bytes: int
    counted: str


class ScrubbedVolume(msgspec.Struct, kw_only=True):
    """What a pass has come across of a namespace: pairs, and their bytes as in `Volume`."""

    pairs: int = 0
    logical_bytes: int = 0
    stored_bytes: int = 0


class ScrubPass(msgspec.Struct, frozen=True, kw_only=True):
    """A walk over all stored pairs. `ended_ms` is 0 while it goes on.

    `retiring`: the data keys that were retiring when it began. `by_key`: how many pairs each data
    key has sealed; 0 is none. The other counts are of pairs.
    """

    began_ms: int = 0
    ended_ms: int
    retiring: list[int] = []
    pairs: int = 0
    resealed: int = 0
    damaged: int = 0
    dropped: int = 0
    by_key: dict[int, int] = {}
    volumes: dict[str, ScrubbedVolume] = {}


class ScrubStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The scrub. `whole`: the last pass that has ended.

    While a pass is `running` its members are told, too, the `fraction` of the pairs that it has
    seen, and how many seconds it still takes (None if that is not known yet).
    """

    running: bool
    whole: ScrubPass | None = None
    began_ms: int | UnsetType = UNSET
    ended_ms: int | UnsetType = UNSET
    retiring: list[int] | UnsetType = UNSET
    pairs: int | UnsetType = UNSET
    resealed: int | UnsetType = UNSET
    damaged: int | UnsetType = UNSET
    dropped: int | UnsetType = UNSET
    by_key: dict[int, int] | UnsetType = UNSET
    volumes: dict[str, ScrubbedVolume] | UnsetType = UNSET
    fraction: float | UnsetType = UNSET
    eta_s: float | UnsetType | None = UNSET

    @property
    def fraction_done(self) -> float:
        """The fraction of a pass that is running; 0 if there is none."""
        return 0.0 if isinstance(self.fraction, UnsetType) else self.fraction


class DamagedPair(msgspec.Struct, frozen=True, kw_only=True):
    """A stored pair that does not open. `at`: its storage key, in hexadecimal."""

    at: str
    partition: int
    found_ms: int
    why: str


class QuarantineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The damaged pairs of a node, in all and by partition; the `latest` are listed.

    `more`: damaged ones beyond those that are kept track of. `released`: those that were replaced.
    """

    damaged: int
    more: int = 0
    released: int = 0
    partitions: dict[int, int] = {}
    latest: list[DamagedPair] = []


class Soundness(msgspec.Struct, frozen=True, kw_only=True):
    """How sound the stored records are: the document of GET and POST /scrub."""

    scrub: ScrubStatus
    quarantine: QuarantineStatus
    volumes: dict[str, Volume] = {}


class Storage(Soundness, frozen=True, kw_only=True):
    """The same, and what is wrong with files of the engine, by their names."""

    damaged_files: dict[str, str] = {}

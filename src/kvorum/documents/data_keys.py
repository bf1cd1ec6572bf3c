"""The documents about the data keys of a node, which seal its records."""

from __future__ import annotations

import msgspec

from kvorum.documents.storage import ScrubStatus


class DataKey(msgspec.Struct, frozen=True, kw_only=True):
    """A data key. `records` that it has sealed as of the last whole pass, a `share` of all."""

    namespace: str
    id: int
    state: str
    created_ms: int
    records: int | None = None
    share: float | None = None


class DataKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The data keys of a node: the document of GET /keys."""

    now_ms: int
    master_key: str
    keys: list[DataKey]
    scrub: ScrubStatus


class RotatedKeys(DataKeys, frozen=True, kw_only=True):
    """The data keys after a rotation. `rotated`: the id of the new key, by namespace."""

    rotated: dict[str, int]


class ShreddedNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace whose keys are destroyed, and with them what was written up to `before_ms`."""

    namespace: str
    before_ms: int

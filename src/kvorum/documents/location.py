"""The document of GET /locate/{key}: where a key lives, and which of its replicas has what."""

from __future__ import annotations

from typing import Literal

import msgspec

ReplicaState = Literal["current", "stale", "absent", "unreachable"]


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """What one owner holds. `clock`: (actor, counter, ms) of its context; None: no answer."""

    node: str
    up: bool
    state: ReplicaState
    clock: list[tuple[str, int, int]] | None = None


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A key, its token (in hexadecimal) and partition, and its owners in order of preference."""

    key: str
    namespace: str
    token: str
    partition: int
    replicas: list[Replica]

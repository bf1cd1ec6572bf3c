"""The documents of /snapshots: the snapshots of a node, and the jobs that make and check them."""

from __future__ import annotations

from typing import Literal

import msgspec

from kvorum.model.errors import KvorumError, from_code

SnapshotTask = Literal["create", "verify", "delete"]


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """One snapshot of one node. `created_ms`: in ms since 1970. `shared_bytes`: of files that
    others have too, the store or other snapshots; deleting the snapshot frees the rest.
    `damage`: why nothing else can be said. `unreadable`: records that were known to be damaged
    when it was made; told when it is made or verified.
    """

    name: str
    node: str = ""
    cluster: str = ""
    created_ms: int = 0
    epoch: int = 0
    files: int = 0
    bytes: int = 0
    shared_bytes: int = 0
    damage: str = ""
    unreadable: int = 0


class SnapshotList(msgspec.Struct, frozen=True):
    """The snapshots of a node: the document of GET /snapshots."""

    node: str
    snapshots: list[Snapshot]


class JobError(msgspec.Struct, frozen=True):
    """Why a job failed."""

    code: str
    message: str


class SnapshotJob(msgspec.Struct, frozen=True):
    """The last job for a snapshot. `bytes_done`: read so far, of `bytes_total`."""

    name: str
    task: SnapshotTask
    ended: bool
    bytes_done: int
    bytes_total: int
    snapshot: Snapshot | None = None
    error: JobError | None = None

    @property
    def failure(self) -> KvorumError | None:
        """What the job failed with; None if it goes on or has succeeded."""
        error = self.error
        return None if error is None else from_code(error.code, error.message, "none", {})

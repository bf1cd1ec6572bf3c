"""The snapshots of a running node: one job at a time, in a thread, watched from the loop.

A job is asked for and goes on by itself; its progress is asked for by name. Nothing calls back
into the event loop: the loop reads what the job has counted.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from kvorum.backup import creation, layout
from kvorum.backup.catalog import summaries, summary_of
from kvorum.backup.creation import Node
from kvorum.backup.progress import Progress
from kvorum.backup.reading import known_damage
from kvorum.backup.verification import verify
from kvorum.documents.snapshot import (
    JobError,
    Snapshot,
    SnapshotJob,
    SnapshotList,
    SnapshotTask,
)
from kvorum.model.errors import KvorumError, NotFound, Overloaded, StorageError

_REMEMBERED_MAX: Final = 16


class _Job:
    __slots__ = ("future", "name", "progress", "task")

    def __init__(self, task: SnapshotTask, name: str) -> None:
        self.task = task
        self.name = name
        self.progress = Progress()
        self.future: Future[Snapshot | None]

    def state(self) -> SnapshotJob:
        """Raises what the job did not expect."""
        done, total, ended = self.progress.done, self.progress.total, self.future.done()
        summary, error = None, None
        if ended:
            try:
                summary = self.future.result()
            except KvorumError as reason:
                error = JobError(reason.code, reason.message)
        return SnapshotJob(self.name, self.task, ended, done, total, summary, error)


class Snapshots:
    def __init__(self, node: Node, wall_ms: Callable[[], int]) -> None:
        self._node = node
        self._wall_ms = wall_ms
        self._thread = ThreadPoolExecutor(1, "kvorum-snapshot")
        self._jobs: dict[str, _Job] = {}
        """The last one for each name, oldest first."""

    def begin_create(self, name: str | None) -> SnapshotJob:
        """Without a name it is the time. Raises RequestError, PreconditionFailed or Overloaded."""
        now_ms = self._wall_ms()
        name = name or layout.time_name(now_ms)
        creation.check_free(self._node.data_dir, name)

        def create(progress: Progress) -> Snapshot:
            content = creation.create(self._node, name, now_ms, progress)
            path = self._path(name)
            return msgspec.structs.replace(summary_of(path, content), unreadable=known_damage(path))

        return self._begin(_Job("create", name), create)

    def begin_verify(self, name: str) -> SnapshotJob:
        """Raises NotFound or Overloaded."""
        path = layout.existing(self._node.data_dir, name)

        def check(progress: Progress) -> Snapshot:
            content = verify(path, self._node.master(), progress)
            return msgspec.structs.replace(summary_of(path, content), unreadable=known_damage(path))

        return self._begin(_Job("verify", name), check)

    def begin_delete(self, name: str) -> SnapshotJob:
        """Raises NotFound or Overloaded."""
        path = layout.existing(self._node.data_dir, name)

        def delete(_progress: Progress) -> None:
            layout.remove(path)
            layout.remove_incomplete(self._node.data_dir)

        return self._begin(_Job("delete", name), delete)

    def progress(self, name: str) -> SnapshotJob:
        """Of the last job for the snapshot `name`. Raises NotFound."""
        job = self._jobs.get(name)
        if job is None:
            raise NotFound(
                f"wanted a snapshot that this node was lately busy with, got {name[:80]!r}; "
                "ask for the list of snapshots"
            )
        return self._told(job.state())

    def list(self) -> SnapshotList:
        return SnapshotList(self._node.origin().node, summaries(self._node.data_dir))

    def close(self) -> None:
        """Cut short what is under way, and wait for that: the store may be closed afterwards."""
        for job in self._jobs.values():
            job.progress.cancelled = True
        self._thread.shutdown()

    def _begin(self, job: _Job, work: Callable[[Progress], Snapshot | None]) -> SnapshotJob:
        for running in self._jobs.values():
            if not running.future.done():
                raise Overloaded(
                    f"wanted one job of snapshots at a time, got another while this node has to "
                    f"{running.task} {running.name!r}; retry when that has ended",
                    retry_after=1,
                )
        self._jobs.pop(job.name, None)
        if len(self._jobs) == _REMEMBERED_MAX:
            del self._jobs[next(iter(self._jobs))]
        job.future = self._thread.submit(_worked, work, job.progress)
        self._jobs[job.name] = job
        return job.state()

    def _told(self, state: SnapshotJob) -> SnapshotJob:
        """Clients are told which file of a snapshot is damaged, and not where the data is."""
        if state.error is None:
            return state
        message = state.error.message.replace(f"{self._node.data_dir}/", "")
        error = msgspec.structs.replace(state.error, message=message)
        return msgspec.structs.replace(state, error=error)

    def _path(self, name: str) -> Path:
        return layout.snapshot_path(self._node.data_dir, name)


def _worked(work: Callable[[Progress], Snapshot | None], progress: Progress) -> Snapshot | None:
    try:
        return work(progress)
    except OSError as error:
        raise StorageError(
            f"the snapshot met an error of the disk: {error}; free or mend the disk"
        ) from error

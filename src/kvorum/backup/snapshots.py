"""The snapshots of a running node: they are made, verified and deleted by one job at a time.

A job runs in a thread, and is asked for its progress by the snapshot's name. Nothing calls back
into the event loop: the loop reads what the job has counted.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import msgspec

from kvorum.backup import creation, layout
from kvorum.backup.catalog import examined, summaries
from kvorum.backup.creation import Node
from kvorum.backup.progress import Progress
from kvorum.backup.verification import verify
from kvorum.documents.snapshot import JobError, Snapshot, SnapshotJob, SnapshotList, SnapshotTask
from kvorum.model.errors import KvorumError, NotFound, Overloaded, StorageError

_REMEMBERED_MAX: Final = 16


class _Job:
    def __init__(self, task: SnapshotTask, name: str) -> None:
        self.task = task
        self.name = name
        self.progress = Progress()
        self.future: Future[Snapshot | None]

    def state(self) -> SnapshotJob:
        """Raises an exception of the job that is no KvorumError."""
        done, total, ended = self.progress.done, self.progress.total, self.future.done()
        summary, error = None, None
        if ended:
            try:
                summary = self.future.result()
            except KvorumError as reason:
                error = JobError(reason.code, reason.message)
        return SnapshotJob(self.name, self.task, ended, done, total, summary, error)


class Snapshots:
    """Administration of a node's snapshots. Each method that begins a job returns its state, and
    raises Overloaded while another one is running.
    """

    def __init__(self, node: Node, wall_ms: Callable[[], int]) -> None:
        self._node = node
        self._wall_ms = wall_ms
        self._thread = ThreadPoolExecutor(1, "kvorum-snapshot")
        self._jobs: dict[str, _Job] = {}
        """The last job for each name, oldest first."""

    def begin_create(self, name: str | None) -> SnapshotJob:
        """Make a snapshot (None: named after the time). Raises RequestError, PreconditionFailed."""
        now_ms = self._wall_ms()
        name = name or layout.time_name(now_ms)
        creation.check_free(self._node.data_dir, name)

        def create(progress: Progress) -> Snapshot:
            content = creation.create(self._node, name, now_ms, progress)
            return examined(layout.snapshot_path(self._node.data_dir, name), content)

        return self._begin(_Job("create", name), create)

    def begin_verify(self, name: str) -> SnapshotJob:
        """Compare the snapshot's files with its manifest. Raises NotFound."""
        path = layout.existing(self._node.data_dir, name)

        def check(progress: Progress) -> Snapshot:
            return examined(path, verify(path, self._node.master(), progress))

        return self._begin(_Job("verify", name), check)

    def begin_delete(self, name: str) -> SnapshotJob:
        """Delete the snapshot. Raises NotFound."""
        path = layout.existing(self._node.data_dir, name)

        def delete(_progress: Progress) -> None:
            layout.remove(path)
            layout.remove_incomplete(self._node.data_dir)

        return self._begin(_Job("delete", name), delete)

    def progress(self, name: str) -> SnapshotJob:
        """The state of the last job for the snapshot `name`. Raises NotFound."""
        job = self._jobs.get(name)
        if job is None:
            raise NotFound(
                f"This node has lately had no job for a snapshot {name[:80]!r}. Look for it in the "
                "list of snapshots."
            )
        return self._told(job.state())

    def list(self) -> SnapshotList:
        """All complete snapshots, oldest first."""
        return SnapshotList(self._node.origin().node, summaries(self._node.data_dir))

    def close(self) -> None:
        """Cancel the running job and wait for its end. The store may be closed afterwards."""
        for job in self._jobs.values():
            job.progress.cancelled = True
        self._thread.shutdown()

    def _begin(self, job: _Job, work: Callable[[Progress], Snapshot | None]) -> SnapshotJob:
        for running in self._jobs.values():
            if not running.future.done():
                raise Overloaded(
                    f"This node is busy with another job: to {running.task} the snapshot "
                    f"{running.name!r}. Retry when that has ended.",
                    retry_after=1,
                )
        self._jobs.pop(job.name, None)
        if len(self._jobs) == _REMEMBERED_MAX:
            del self._jobs[next(iter(self._jobs))]
        job.future = self._thread.submit(_worked, work, job.progress)
        self._jobs[job.name] = job
        return job.state()

    def _told(self, state: SnapshotJob) -> SnapshotJob:
        """`state` with paths relative to the data directory: clients are not told where it is."""
        if state.error is None:
            return state
        message = state.error.message.replace(f"{self._node.data_dir}/", "")
        error = msgspec.structs.replace(state.error, message=message)
        return msgspec.structs.replace(state, error=error)


def _worked(work: Callable[[Progress], Snapshot | None], progress: Progress) -> Snapshot | None:
    try:
        return work(progress)
    except OSError as error:
        raise StorageError(
            f"The snapshot met an error of the disk: {error}. Make room on the disk, or repair it."
        ) from error

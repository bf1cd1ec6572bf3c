"""The audit log of a node: who has asked for what, and what came of it.

    note ──> queue ──> writer, a thread: lines of the chain ──> files, synced once a second

Whoever notes something never waits. Where the disk is full, fails or cannot follow, the queue fills
up, and what does not fit into it is counted; once the disk takes lines again, the queue is written,
and an entry that says how many are missing. To refuse all requests meanwhile would make of a full
disk for logs an outage of the data. So what the log holds is true, and what it lacks is stated.

When the process dies, the entries of the last moment are lost; when the machine dies, those of the
last second.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from kvorum.audit.chain import Link
from kvorum.audit.entry import DROPPED, OK, REMOVED, STARTED, STOPPED, TORN, Entries, Noted
from kvorum.audit.files import locked
from kvorum.audit.settings import AuditSettings
from kvorum.audit.shown_text import (
    KEY_CHARS,
    NAME_CHARS,
    SUBJECT_CHARS,
    ShowKey,
    bounded,
    key_shower,
)
from kvorum.audit.writer import Writer
from kvorum.audit.written_files import WrittenFiles
from kvorum.model.audit_level import AuditLevel
from kvorum.model.errors import ConfigError

QUEUE_MAX: Final = 1 << 16
"""How many entries wait at most."""
LOGIN: Final = "login"
"""The action of whoever could not prove who he is."""

_BATCH: Final = 64
"""How many are made lines at a time, which takes a fraction of a millisecond: the event loop may
wait for the interpreter's lock meanwhile."""


_LOOKED_AT: Final = 1024
"""Among how many those are found that are the same."""


class Who(Protocol):
    """A principal, as far as the log is concerned."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def source(self) -> str: ...


class _Claimed(NamedTuple):
    name: str
    kind: str
    source: str


class AuditLog:
    """The audit log in `directory`, from `start` to `close`. One thread notes things; `start` and
    `close` block for the disk, and may be called by another one.
    """

    def __init__(
        self,
        directory: Path,
        settings: AuditSettings,
        node: str,
        wall_ms: Callable[[], int],
        has_room: Callable[[], bool] = lambda: True,
        queue_max: int = QUEUE_MAX,
    ) -> None:
        """`node`: its name. `has_room()`: False while what is left of the disk is needed for data;
        it is called in another thread. `queue_max`: how many entries wait for the disk at most.
        """
        self.level: AuditLevel = settings.level
        self.dropped = 0
        """How many entries found no room in the queue, since the start."""
        self._directory = directory
        self._settings = settings
        self._wall_ms = wall_ms
        self._queue: deque[Noted] = deque()
        self._queue_max = queue_max
        self._told_dropped = 0
        self._entries = Entries(node, wall_ms)
        self._show_key: ShowKey
        self._files = WrittenFiles(
            directory, settings.file_bytes, settings.files, self._telling_removed
        )
        self._writer = Writer(self._files, self._take, self._stopped, has_room)
        self._lock = ExitStack()

    def start(self) -> None:
        """Go on with the log. Raises ConfigError if that cannot be."""
        directory = self._directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(directory, 0o700)
            with ExitStack() as opened:
                opened.enter_context(locked(directory))
                self._show_key = key_shower(self._settings.keys, directory)
                self._open_files()
                self._lock = opened.pop_all()
        except OSError as error:
            raise ConfigError(
                f"The audit log in {directory} cannot be written: {error}. Make room, or make it a "
                "directory that this user may write to; or start the node with --audit off."
            ) from error
        self._writer.start()

    def note(
        self,
        principal: Who,
        action: str,
        namespace: str | None,
        key: str | None,
        outcome: str,
        subject: str | None = None,
    ) -> None:
        """`principal` has asked for `action`, and `outcome` came of it: "ok", or the code of the
        error. `subject`: what it is about, if that is no key of an entry.
        """
        queue = self._queue
        if len(queue) >= self._queue_max:
            self.dropped += 1
            return
        # Cut before they wait, as many may.
        queue.append(
            Noted(
                self._wall_ms(),
                principal.name,
                principal.kind,
                principal.source,
                action,
                bounded(namespace, NAME_CHARS),
                bounded(key, KEY_CHARS),
                outcome,
                bounded(subject, SUBJECT_CHARS),
            )
        )
        self._writer.wake()

    def refused_login(self, source: str, name: str, reason: str) -> None:
        """Somebody at the address `source` could not prove to be `name`, which is "" if none was
        given. `reason`: the code of the error.
        """
        claimed = _Claimed(bounded(name, NAME_CHARS) or "", "unknown", source)
        self.note(claimed, LOGIN, None, None, reason)

    def close(self) -> None:
        """Write what was noted, and end. Does nothing if it was not started."""
        self._writer.close()
        self._lock.close()

    @property
    def written(self) -> int:
        """How many entries are in the files, since the start."""
        return self._writer.written

    @property
    def failure(self) -> OSError | None:
        """Why the disk does not take what waits; None if it does."""
        return self._writer.failure

    def _open_files(self) -> None:
        recovered = self._files.open()
        told = [
            self._entries.of_log(TORN, file=torn.path.name, bytes=torn.size)
            for torn in recovered.torn
        ]
        level, keys = self._settings.level.value, self._settings.keys.value
        self._files.write([*told, self._entries.of_log(STARTED, level=level, keys=keys)])
        self._files.sync()

    # What the writer calls, in its thread

    def _take(self) -> list[bytes]:
        batch = [
            self._entries.of_request(noted, times, self._show_key)
            for noted, times in self._take_noted()
        ]
        dropped = self.dropped - self._told_dropped
        if dropped:
            self._told_dropped += dropped
            batch.append(self._entries.of_log(DROPPED, entries=dropped))
        return batch

    def _take_noted(self) -> Iterable[tuple[Noted, int]]:
        """What comes next, and how often: so that whoever is refused over and over cannot fill the
        files as fast as he asks.
        """
        queue, taken = self._queue, dict[object, tuple[Noted, int]]()
        for number in range(_LOOKED_AT):
            if not queue or len(taken) == _BATCH:
                break
            noted = queue.popleft()
            same: object = number if noted.outcome == OK else noted._replace(wall_ms=0)
            first, times = taken.get(same, (noted, 0))
            taken[same] = first, times + 1
        return taken.values()

    def _stopped(self) -> bytes:
        return self._entries.of_log(STOPPED)

    def _telling_removed(self, file: str, last: Link | None) -> bytes:
        if last is None:
            return self._entries.of_log(REMOVED, file=file)
        return self._entries.of_log(REMOVED, file=file, through=last.number, hash=last.hash)

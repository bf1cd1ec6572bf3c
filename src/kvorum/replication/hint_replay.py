"""Replay: the records that an owner missed, sent to it as soon as it is back.

A window of notes at a time, each record as it is now, with pauses that follow the foreground's
latency (`pace.py`). Of large records few are under way at once, and each has the time it takes.
What is not acknowledged is passed over, and tried again when the last note has been reached. A
replay ends when a pass from the first note finds none.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from kvorum.model.errors import StorageError
from kvorum.model.record import digest
from kvorum.net.transport import transfer_ms
from kvorum.replication.hint_notes import HintNotes
from kvorum.replication.site import Site
from kvorum.wire.messages import Write

_WINDOW: Final = 16
_WINDOW_BYTES: Final = 1 << 20
"""Under way at once, but for the record that goes over."""
_TIMEOUT_MS: Final = 2000
_PAUSE_S: Final = 0.5


class Ledger(Protocol):
    """Who knows what is owed, and is told what has been paid."""

    def owed(self, node: int) -> int: ...

    def on_acked(self, node: int, key: bytes, sent: bytes) -> None:
        """`node` has the record with digest `sent`, durably."""
        ...

    def on_replayed(self, node: int) -> None:
        """No note about `node` is left."""
        ...


class _Progress:
    """How far the replay to one node is."""

    __slots__ = ("cursor", "per_second", "running")

    def __init__(self) -> None:
        self.running = False
        self.cursor = b""
        self.per_second = 0.0


class HintReplay:
    """To all nodes, each at its own pace."""

    __slots__ = ("_ledger", "_notes", "_progress", "_site", "_stopped")

    def __init__(self, site: Site, notes: HintNotes, ledger: Ledger) -> None:
        self._site = site
        self._notes = notes
        self._ledger = ledger
        self._progress = {node: _Progress() for node in site.topology.numbers}
        self._stopped = False

    def per_second(self, node: int) -> float:
        """How many records of late; 0 if nothing is replayed."""
        progress = self._progress[node]
        return progress.per_second if progress.running else 0.0

    def begin(self, node: int) -> None:
        """Catch `node` up, if it is there and that is not under way."""
        progress = self._progress[node]
        if not progress.running and self._site.is_up(node):
            progress.running = True
            self._site.runtime.call_soon(self._go_on, node)

    def stop(self) -> None:
        """Replay no more; the notes stay for the node's next life."""
        self._stopped = True

    def _go_on(self, node: int) -> None:
        if self._stopped:
            return
        progress = self._progress[node]
        keys = self._notes.page(node, progress.cursor, _WINDOW)
        if not self._site.is_up(node):
            progress.running = False
        elif keys:
            progress.cursor = keys[-1] + b"\0"
            _Window(self, self._site, node).send(keys)
        elif progress.cursor:
            progress.cursor = b""
            self._site.runtime.call_later(_PAUSE_S, self._go_on, node)
        else:
            progress.running = False
            self._ledger.on_replayed(node)

    def on_acked(self, node: int, key: bytes, sent: bytes) -> None:
        self._ledger.on_acked(node, key, sent)

    def on_window_done(self, node: int, complete: bool, count: int, elapsed_s: float) -> None:
        """All hints of a window were acked or given up; what was given up is tried later."""
        progress = self._progress[node]
        rate = count / max(elapsed_s, 1e-6)
        progress.per_second += (rate - progress.per_second) / 8
        if complete and self._ledger.owed(node) == 0:
            progress.cursor = b""
        pause_s = self._site.pace.pause_s(count) if complete else _PAUSE_S
        if pause_s:
            self._site.runtime.call_later(pause_s, self._go_on, node)
        else:
            self._site.runtime.call_soon(self._go_on, node)


class _Window:
    """A handful of hinted records on their way to one node."""

    __slots__ = (
        "_began",
        "_bytes",
        "_complete",
        "_count",
        "_keys",
        "_left",
        "_node",
        "_replay",
        "_site",
    )

    def __init__(self, replay: HintReplay, site: Site, node: int) -> None:
        self._replay = replay
        self._site = site
        self._node = node
        self._began = site.runtime.now()
        self._count = 0
        self._left = 0
        self._keys: deque[bytes] = deque()
        self._bytes = 0
        self._complete = True

    def send(self, keys: list[bytes]) -> None:
        self._count = self._left = len(keys)
        self._keys.extend(keys)
        self._go_on()

    def _go_on(self) -> None:
        while self._keys and self._bytes < _WINDOW_BYTES:
            write = _HintedWrite(self._site, self, self._node, self._keys.popleft())
            write.start()
            self._bytes += write.size

    def on_ended(self, write: _HintedWrite, acked: bool) -> None:
        if acked:
            self._replay.on_acked(self._node, write.key, write.sent)
        else:
            self._complete = False
        self._left -= 1
        self._bytes -= write.size
        if self._left:
            self._go_on()
        else:
            elapsed_s = self._site.runtime.now() - self._began
            self._replay.on_window_done(self._node, self._complete, self._count, elapsed_s)


class _HintedWrite:
    """One hinted record, as an operation that waits for its owner's ack."""

    __slots__ = ("_node", "_op", "_site", "_window", "ended", "key", "sent", "size")

    def __init__(self, site: Site, window: _Window, node: int, key: bytes) -> None:
        self.key = key
        self.sent = b""
        """The digest of what was sent."""
        self.size = 0
        self.ended = False
        self._site = site
        self._window = window
        self._node = node
        self._op = site.next_op()

    def start(self) -> None:
        site = self._site
        try:
            data = site.store.get(self.key)
        except StorageError:
            # It stays owed: what is damaged here may be replaced by the other owners' copy.
            site.runtime.call_soon(self._end, False)
            return
        if data is None:
            # The record is gone from here, so there is nothing left to hand over.
            site.runtime.call_soon(self._end, True)
            return
        self.sent = digest(data)
        self.size = len(data)
        site.operations[self._op] = self
        site.deadlines.watch(self, _TIMEOUT_MS + transfer_ms(self.size))
        site.transport.send(self._node, Write(self._op, self.key, data))

    def on_wrote(self, node: int) -> None:
        self._end(True)

    def on_refused(self, node: int, code: str) -> None:
        self._end(False)

    def on_peer_lost(self, node: int) -> None:
        if node == self._node:
            self._end(False)

    def on_deadline(self) -> None:
        self._end(False)

    def _end(self, acked: bool) -> None:
        if not self.ended:
            self.ended = True
            self._site.operations.pop(self._op, None)
            self._window.on_ended(self, acked)

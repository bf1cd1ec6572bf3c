"""Hint replay: an owner that is back is sent the records that it missed.

A window of hints is replayed at a time, each record as it is now, with pauses that follow the
latency of clients' requests (`operations/pace.py`). Of large records few are under way at once, and
each has the time it takes. What is not acknowledged is passed over, and tried again when the last
hint has been reached. A replay ends when a pass from the first hint finds none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from kvorum.cluster.view import ClusterView
from kvorum.handoff.hint_notes import HintNotes
from kvorum.links.transport import transfer_ms
from kvorum.model.errors import StorageError
from kvorum.model.record import digest
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Reply, Write, Wrote

if TYPE_CHECKING:
    from kvorum.handoff.hints import Hints

_WINDOW: Final = 16
_WINDOW_BYTES: Final = 1 << 20
"""At most so much is under way, and one record that goes over it."""
_TIMEOUT_MS: Final = 2000
_PAUSE_S: Final = 0.5


@dataclass(eq=False)
class _Progress:
    """How far the replay to one node is."""

    running: bool = False
    cursor: bytes = b""
    per_second: float = 0.0


class HintReplay:
    """Replays hints to all nodes that have some, independently of each other."""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        notes: HintNotes,
        hints: Hints,
    ) -> None:
        self._view = view
        self._replica = replica
        self._operations = operations
        self._notes = notes
        self._hints = hints
        self._progress = {node: _Progress() for node in view.topology.numbers}
        self._stopped = False

    def per_second(self, node: int) -> float:
        """How many records a second are replayed to `node` of late; 0 if none are."""
        progress = self._progress[node]
        return progress.per_second if progress.running else 0.0

    def begin(self, node: int) -> None:
        """Replay the hints for `node`, if it is up and that is not under way."""
        progress = self._progress[node]
        if not progress.running and self._operations.is_up(node):
            progress.running = True
            self._operations.runtime.call_soon(self._go_on, node)

    def stop(self) -> None:
        """Replay no more; the hints stay for the next start."""
        self._stopped = True

    def _go_on(self, node: int) -> None:
        if self._stopped:
            return
        progress = self._progress[node]
        keys = self._notes.page(node, progress.cursor, _WINDOW)
        if not self._operations.is_up(node):
            progress.running = False
        elif keys:
            progress.cursor = keys[-1] + b"\0"
            _Window(self, self._replica, self._operations, node).send(keys)
        elif progress.cursor:
            progress.cursor = b""
            self._operations.runtime.call_later(_PAUSE_S, self._go_on, node)
        else:
            progress.running = False
            self._hints.on_replayed(node)

    def on_acked(self, node: int, key: bytes, sent: bytes) -> None:
        self._hints.on_acked(node, key, sent)

    def on_window_done(self, node: int, complete: bool, count: int, elapsed_s: float) -> None:
        """All hints of a window were acked or given up; what was given up is tried later."""
        progress = self._progress[node]
        rate = count / max(elapsed_s, 1e-6)
        progress.per_second += (rate - progress.per_second) / 8
        if complete and self._hints.owed(node) == 0:
            progress.cursor = b""
        pause_s = self._operations.pace.pause_s(count) if complete else _PAUSE_S
        if pause_s:
            self._operations.runtime.call_later(pause_s, self._go_on, node)
        else:
            self._operations.runtime.call_soon(self._go_on, node)


class _Window:
    """A handful of hinted records on their way to one node."""

    def __init__(
        self, replay: HintReplay, replica: LocalReplica, operations: Operations, node: int
    ) -> None:
        self._replay = replay
        self._replica = replica
        self._operations = operations
        self._node = node
        self._began = operations.runtime.now()
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
            self._hand_over(self._keys.popleft())

    def _hand_over(self, key: bytes) -> None:
        operations = self._operations
        try:
            data = self._replica.store.get(key)
        except StorageError:
            # The hint stays: a damaged record may be replaced by the other owners' copy.
            operations.runtime.call_soon(self._on_ended, key, b"", 0, False)
            return
        if data is None:
            # The record is gone from here, so there is nothing to send.
            operations.runtime.call_soon(self._on_ended, key, b"", 0, True)
            return
        size = len(data)
        self._bytes += size
        question = Question(
            operations, self._node, partial(self._on_reply, key, digest(data), size)
        )
        question.ask(Write(question.op, key, data), _TIMEOUT_MS + transfer_ms(size))

    def _on_reply(self, key: bytes, sent: bytes, size: int, reply: Reply | None) -> None:
        self._on_ended(key, sent, size, isinstance(reply, Wrote))

    def _on_ended(self, key: bytes, sent: bytes, size: int, acked: bool) -> None:
        """`sent`: the digest of the record of `size` bytes that was sent; b"" if none was."""
        if acked:
            self._replay.on_acked(self._node, key, sent)
        else:
            self._complete = False
        self._left -= 1
        self._bytes -= size
        if self._left:
            self._go_on()
        else:
            elapsed_s = self._operations.runtime.now() - self._began
            self._replay.on_window_done(self._node, self._complete, self._count, elapsed_s)

"""The backlog of a link: long messages that wait to be sent, one after another and in pieces.

It is bounded, by bytes and by time. One message may go over the bytes, or none that is longer
than they are could ever be sent. A message that is not through in time is given up, even when
part of it has been sent: tombstones are collected in the trust that nothing is under way for
longer than a minute (`replication/collection.py`), and whoever sent it has stopped waiting.
"""

from __future__ import annotations

from collections import deque

from kvorum.net.traffic import Traffic
from kvorum.net.transport import LONG_S_MAX
from kvorum.wire.pieces import NO_MORE_PIECES, PIECE_BYTES, encode_piece


class Backlog:
    """Counts in `traffic` what was sent and what was given up."""

    __slots__ = ("_bytes", "_bytes_max", "_sent_bytes", "_traffic", "_waiting")

    def __init__(self, bytes_max: int, traffic: Traffic) -> None:
        self._traffic = traffic
        self._bytes_max = bytes_max
        self._bytes = 0
        self._sent_bytes = 0
        """Of the first that waits."""
        self._waiting: deque[tuple[float, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size(self) -> int:
        """Bytes of all that is not sent completely."""
        return self._bytes

    def add(self, whole: bytes, now: float) -> bool:
        """False if there is no room for it."""
        if self._bytes >= self._bytes_max:
            self._traffic.messages_dropped += 1
            return False
        self._waiting.append((now + LONG_S_MAX, whole))
        self._bytes += len(whole)
        return True

    def next_piece(self, now: float) -> bytes | None:
        """What is to be sent next; None if nothing is."""
        given_up = self._give_up(now)
        if not self._waiting:
            return NO_MORE_PIECES if given_up else None
        whole = self._waiting[0][1]
        piece = encode_piece(whole, self._sent_bytes)
        self._sent_bytes += PIECE_BYTES
        if self._sent_bytes >= len(whole):
            self._remove_first()
            self._traffic.messages_out += 1
        return piece

    def clear(self) -> None:
        """Give all of them up."""
        self._traffic.messages_dropped += len(self._waiting)
        self._waiting.clear()
        self._bytes = self._sent_bytes = 0

    def _give_up(self, now: float) -> bool:
        """Let go of what is late; True if part of it had been sent."""
        begun = False
        while self._waiting and self._waiting[0][0] <= now:
            begun = begun or self._sent_bytes > 0
            self._remove_first()
            self._traffic.messages_dropped += 1
        return begun

    def _remove_first(self) -> None:
        self._bytes -= len(self._waiting.popleft()[1])
        self._sent_bytes = 0

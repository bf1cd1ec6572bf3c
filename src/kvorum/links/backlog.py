"""The backlog of a link: long messages that wait to be sent, one after another and in pieces.

It is bounded, by bytes and by time. One message may exceed the bytes, else none that is longer than
they are could ever be sent. A message that is not sent completely in time is given up, even when
part of it has been sent: tombstones are collected in the trust that nothing is under way for longer
than a minute (`repair/collection.py`), and its sender has stopped waiting.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from kvorum.links.traffic import Traffic
from kvorum.links.transport import LONG_S_MAX
from kvorum.wire.pieces import NO_MORE_PIECES, PIECE_BYTES, encode_piece


class Piece(NamedTuple):
    """What is to be sent in one frame, of a message that was made in `epoch`."""

    epoch: int
    payload: bytes


class Whole(NamedTuple):
    """A message as it is sent in pieces, made in `epoch`."""

    given_up_at: float
    epoch: int
    data: bytes


class Backlog:
    """The long messages that wait for one link. `waiting`: all that are not sent completely, in
    order.

    Counts in `traffic` what was sent and what was given up.
    """

    __slots__ = ("_bytes", "_bytes_max", "_refused", "_sent_bytes", "_traffic", "waiting")

    def __init__(self, bytes_max: int, traffic: Traffic) -> None:
        self._traffic = traffic
        self._bytes_max = bytes_max
        self._bytes = 0
        self._sent_bytes = 0
        """Of the first message that waits."""
        self._refused: list[int] = []
        self.waiting: deque[Whole] = deque()

    @property
    def size(self) -> int:
        """Bytes of all that is not sent completely."""
        return self._bytes

    def add(self, whole: bytes, epoch: int, now: float) -> bool:
        """Keep a message that was made in `epoch`. False if there is no room for it."""
        if self._bytes >= self._bytes_max:
            self._traffic.messages_dropped += 1
            self._refused.append(len(whole))
            return False
        self.waiting.append(Whole(now + LONG_S_MAX, epoch, whole))
        self._bytes += len(whole)
        return True

    def take_refused(self) -> list[int]:
        """How long the messages were that found no room since this was asked last, in bytes."""
        refused = self._refused
        self._refused = []
        return refused

    def next_piece(self, now: float) -> Piece | None:
        """What is to be sent next; None if nothing is."""
        given_up = self._give_up(now)
        if not self.waiting:
            return None if given_up is None else Piece(given_up, NO_MORE_PIECES)
        whole = self.waiting[0]
        piece = Piece(whole.epoch, encode_piece(whole.data, self._sent_bytes))
        self._sent_bytes += PIECE_BYTES
        if self._sent_bytes >= len(whole.data):
            self._remove_first()
            self._traffic.messages_out += 1
        return piece

    def clear(self) -> None:
        """Give all of them up."""
        self._traffic.messages_dropped += len(self.waiting)
        self.waiting.clear()
        self._bytes = self._sent_bytes = 0

    def _give_up(self, now: float) -> int | None:
        """Drop what is late. Returns the epoch of a message that had been sent in part."""
        begun = None
        while self.waiting and self.waiting[0].given_up_at <= now:
            if self._sent_bytes:
                begun = self.waiting[0].epoch
            self._remove_first()
            self._traffic.messages_dropped += 1
        return begun

    def _remove_first(self) -> None:
        self._bytes -= len(self.waiting.popleft().data)
        self._sent_bytes = 0

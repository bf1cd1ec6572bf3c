"""Bounds the memory of answers that clients have not read yet.

An answer counts from when it is made. That of a list counts from its first item, and with what is
being read for it, at the size that was lately met: many values may be on their way at a time. What
a client has taken since is only seen when all connections are looked at: once a tick, and when the
bound seems to be reached. In between the count is too high at most, and a request costs one
addition.

Where the bound is reached, clients that have taken nothing for a while are cut off, the one that
has waited longest first. If that does not make room, a large answer that may be asked for again
is not made at all. Any other answer is: it is small, or tells of something that has been done.
For that, more clients are cut off, in the same order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Final, Protocol

from kvorum.model.errors import Overloaded

_logger = logging.getLogger(__name__)

_PART_BYTES_AT_FIRST: Final = 1 << 20
_PART_BYTES_MIN: Final = 64 << 10

PIECE_BYTES: Final = 256 << 10
LARGE_ANSWER_BYTES: Final = 64 << 10
"""From this size on, an answer is made only if there is room for it."""


class Reader(Protocol):
    """The connection of a client that has answers to take."""

    @property
    def unread(self) -> int:
        """How many bytes of answers are made and not taken."""

    def waiting(self, tick: int) -> int:
        """For how many ticks the client has taken nothing of what there is."""

    def abort(self) -> None: ...


class UnreadAnswers:
    """Counts the bytes of the answers of all `readers`, and makes room beyond `limit`."""

    def __init__(self, readers: Collection[Reader], limit: int, stalled_ticks: int) -> None:
        self.limit = limit
        self.bytes = 0
        """At most so much is unread. Whoever adds to it calls `relieve` when it is over `limit`."""
        self.made = 0
        """How many answers were made."""
        self.part_bytes = _PART_BYTES_AT_FIRST
        """How large a part of an answer is taken to be before it is known."""
        self.tick = 0
        self._readers = readers
        self._set_aside = 0
        self._stalled_ticks = stalled_ticks

    def together(self, answers: list[bytes]) -> bytes:
        """All of these, which leave in one write; the first one of them is counted already."""
        self.made += len(answers) - 1
        return b"".join(answers)

    def has_room(self, size: int) -> bool:
        """True if an answer of `size` may be made. One that is alone always may."""
        if self.bytes + size <= self.limit:
            return True
        self._count()
        self._cut_off(size, self._stalled_ticks)
        return self.bytes + size <= self.limit or not self.bytes

    def check_room(self, size: int) -> None:
        """Raises Overloaded if an answer of `size` may not be made."""
        if not self.has_room(size):
            raise no_room()

    def set_aside(self, size: int) -> None:
        """A part of an answer is made."""
        self._set_aside += size
        self.bytes += size
        if self.bytes > self.limit:
            self.relieve()

    def learn(self, size: int) -> None:
        """A part of an answer has turned out to be of `size`."""
        if size < self.part_bytes:
            size = max(self.part_bytes - (self.part_bytes - size >> 3), _PART_BYTES_MIN)
        self.part_bytes = size

    def give_back(self, size: int) -> None:
        """Parts that were set aside are not needed any more."""
        self._set_aside -= size
        self.bytes -= size

    def relieve(self) -> None:
        """Count anew, and make room if there is too much."""
        self._count()
        self._cut_off(0, 0)

    def _count(self) -> None:
        self.bytes = self._set_aside + sum([reader.unread for reader in self._readers])

    def _cut_off(self, size: int, ticks: int) -> None:
        """Make room for `size`, at the cost of those who have waited for `ticks` or longer."""
        if self.bytes + size <= self.limit:
            return
        tick = self.tick
        holding = [reader for reader in self._readers if reader.unread]
        # Who is alone with the answer to one request is no burden on others.
        holding.sort(key=lambda reader: (reader.waiting(tick), reader.unread))
        while self.bytes + size > self.limit and len(holding) > (0 if size else 1):
            reader = holding.pop()
            if reader.waiting(tick) < ticks:
                return
            unread = reader.unread
            _logger.warning("cut off a client that left %d bytes unread", unread)
            reader.abort()
            self.bytes -= unread


def no_room() -> Overloaded:
    """The refusal of an answer for which there is no room."""
    return Overloaded(
        "The answers that clients have not read yet take all the memory there is for them. Ask "
        "again in a moment.",
        retry_after=1,
    )


def write_in_pieces(transport: asyncio.WriteTransport, answer: bytes) -> None:
    """Write a long `answer`. The transport keeps what it is given whole until the last byte of it
    is taken.
    """
    for at in range(0, len(answer), PIECE_BYTES):
        transport.write(answer[at : at + PIECE_BYTES])

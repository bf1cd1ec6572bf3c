"""Attribution: which put made the version of a value that an answer shows.

Where only one put of a key writes a value, the value tells, also of the versions that touches
have made of it. Where several do, the version's dot has to:

    own      of an acknowledged put: the version of its value in its answer. It may have been
             there before, for the same value again makes no new version; then the put
             *repeats* it, and so do others that are answered with the same
    sure     of a version: the puts whose own it is
    may      and those without an answer that may have made it, which are those that began
             before anybody was shown it; if a touch may have made it, any put of the value

A put *made* its own version if nobody else can have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from kvorum.model.record import Event, covers
from kvorum.sim.history import Operation

Writes = int
"""A set of writes: one bit a write, in order of invocation."""


def members(writes: Writes) -> Iterator[int]:
    """The bits of `writes`, lowest first."""
    while writes:
        lowest = writes & -writes
        yield lowest.bit_length() - 1
        writes ^= lowest


class Attribution:
    """Of the versions of one key."""

    def __init__(self, operations: Sequence[Operation], writes: Sequence[Operation]) -> None:
        """`writes`: those of `operations` that took effect, or may have."""
        self._by_value: dict[bytes, Writes] = {}
        for i, op in enumerate(writes):
            if op.kind == "put":
                self._by_value[op.value] = self._by_value.get(op.value, 0) | 1 << i
        self._shared = {value for value, puts in self._by_value.items() if puts.bit_count() > 1}
        self.made: Writes = sum(self._by_value.values())
        """The puts that made the version which is their own, beyond doubt."""
        self.repeats: Writes = 0
        """The puts that were answered with a version which had been there before."""
        self._dots: dict[int, Event] = {}
        self._may: dict[Event, Writes] = {}
        self._sure: dict[Event, Writes] = {}
        if self._shared:
            self._trace(operations, writes)

    def may(self, answer: Operation) -> Writes:
        """All puts of which `answer` may show a version."""
        return self._of(answer, self._may)

    def sure(self, answer: Operation) -> Writes:
        """The puts of which `answer` shows a version beyond doubt."""
        return self._of(answer, self._sure)

    def dot(self, i: int) -> Event | None:
        """That of the put's own version, if it shares its value with others and has told."""
        return self._dots.get(i)

    def is_shared(self, value: bytes) -> bool:
        return value in self._shared

    def alike(self, value: bytes) -> Writes:
        """The puts of `value`."""
        return self._by_value.get(value, 0)

    def _of(self, answer: Operation, by_dot: dict[Event, Writes]) -> Writes:
        found = 0
        for i, value in enumerate(answer.values):
            if value in self._shared:
                found |= by_dot.get(answer.dots[i], 0)
            else:
                found |= self._by_value.get(value, 0)
        return found

    def _trace(self, operations: Sequence[Operation], writes: Sequence[Operation]) -> None:
        values: dict[Event, bytes] = {}
        shown_from: dict[Event, float] = {}
        for op in operations:
            for value, dot in zip(op.values, op.dots, strict=True):
                if value in self._shared:
                    values[dot] = value
                    shown_from[dot] = min(shown_from.get(dot, inf), op.ended)
        may, sure = dict.fromkeys(values, 0), dict.fromkeys(values, 0)
        for i, op in enumerate(writes):
            if op.kind == "put" and op.value in self._shared and op.outcome == "acked":
                own = _own(op, shown_from)
                for dot in own:
                    may[dot] |= 1 << i
                if len(own) == 1:
                    self._dots[i] = own[0]
                    sure[own[0]] |= 1 << i
                    if _is_old(own[0], op, shown_from):
                        self.repeats |= 1 << i
        touches = [op for op in operations if op.kind == "touch" and op.outcome != "failed"]
        for dot, value in values.items():
            touched = any(_may_have_made(touch, dot, shown_from) for touch in touches)
            for i in members(self._by_value[value] & ~may[dot]):
                early = writes[i].invoked <= shown_from[dot]
                if (early and (touched or writes[i].outcome != "acked")) or (
                    touched and self.repeats >> i & 1
                ):
                    may[dot] |= 1 << i
            if not sure[dot] and may[dot].bit_count() == 1:
                sure[dot] = may[dot]
        for value in self._shared:
            self.made &= ~self._by_value[value]
        for dot in values:
            makers = may[dot] & ~self.repeats
            if makers.bit_count() == 1:
                self.made |= makers & sure[dot]
        self._may, self._sure = may, sure


def _own(put: Operation, shown_from: dict[Event, float]) -> list[Event]:
    """The dots of the versions in the answer of `put` that may be its own.

    Only where a single version was there can it have been answered with that one.
    """
    dots = [dot for dot, value in zip(put.dots, put.values, strict=True) if value == put.value]
    if len(dots) == 1:
        return dots
    return [dot for dot in dots if not _is_old(dot, put, shown_from)] or dots


def _is_old(dot: Event, put: Operation, shown_from: dict[Event, float]) -> bool:
    """True if the version was there before `put` began."""
    return shown_from[dot] < put.invoked or (put.seen is not None and covers(put.seen, dot))


def _may_have_made(touch: Operation, dot: Event, shown_from: dict[Event, float]) -> bool:
    early = touch.invoked <= shown_from[dot]
    return early and (touch.outcome != "acked" or dot in touch.dots)

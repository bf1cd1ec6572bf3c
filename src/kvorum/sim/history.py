"""A history: what clients asked for, when, and what they were told.

It is all that the checkers judge by, so they see the cluster as its users do. A put that is
given no value writes one that no other put writes, so a value in an answer names its write. (A
touch makes another version of the same value, with another lifetime: see `lifetimes`.) Of values
that several puts write the versions have to tell: see `attribution`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from kvorum.model.record import Context, Event
from kvorum.model.request import ABSENT, ANY, EXACT, PRESENT
from kvorum.model.topology import DEFAULT_NAMESPACE

Kind = Literal["get", "put", "delete", "touch"]
Outcome = Literal["pending", "acked", "failed", "unknown"]
"""Acked: done. Failed: the answer says that nothing changed. Unknown: it may have, or may yet."""
_EXPECTS: Final = {ABSENT: " if absent", PRESENT: " if present", EXACT: " if unchanged"}


@dataclass(slots=True)
class Operation:
    """A client's request. `basis`: the operation whose version this write carries, if any."""

    number: int
    kind: Kind
    key: str
    quorum: int
    invoked: float
    deadline: float
    namespace: str = DEFAULT_NAMESPACE
    value: bytes = b""
    basis: int | None = None
    seen: Context | None = None
    """The version that it carries."""
    ttl_s: int = 0
    """How long what it put or touched was to live; 0 is for ever."""
    expect: int = ANY
    looked: int = 0
    """How many owners, at least, its coordinator read from before it wrote."""
    ended: float = inf
    outcome: Outcome = "pending"
    values: tuple[bytes, ...] = ()
    """The live values in the answer."""
    dots: tuple[Event, ...] = ()
    """The dot of each of their versions."""
    context: Context = ()
    """The version that the answer gives."""
    expiries: tuple[int, ...] = ()
    """When each of `values` expires (ms of wall clock); 0 is never."""
    created: bool = False
    """The answer says that the key had no live version before."""
    error: str = ""
    endings: int = 0
    severed: bool = False
    """The node it was sent to went away first, so there will be no answer."""
    calm: bool = False
    """While it ran no link came or went, and every node was connected to all that were up."""
    strict: bool = True
    """Only owners of the key were counted for its quorum."""
    listed: bool = False
    """It is what a listing said of the key, and no request of its own."""
    hasty: bool = False
    """It was answered before the call that submitted it had returned."""

    @property
    def done_by(self) -> float:
        """When it had taken effect at the latest, if it did."""
        return self.ended if self.outcome == "acked" else inf

    @property
    def touched_all(self) -> bool:
        """It gave everything in its answer a new lifetime."""
        whole = self.basis is None or self.expect == EXACT
        return self.kind == "touch" and self.outcome == "acked" and whole

    def __str__(self) -> str:
        where = "" if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}: "
        text = f"{self.kind} #{self.number} of {where}{self.key} at {self.invoked:.6f}"
        if self.kind != "get":
            text += " blind" if self.basis is None else f" on #{self.basis}"
        text += _EXPECTS.get(self.expect, "")
        if self.ttl_s or self.kind == "touch":
            text += f" for {self.ttl_s} s" if self.ttl_s else " for ever"
        return text + f": {self.outcome}"


class History:
    """All operations of the clients of one run."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def begin(
        self,
        kind: Kind,
        key: str,
        quorum: int,
        invoked: float,
        deadline: float,
        basis: int | None = None,
        value: bytes = b"",
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Operation:
        """A new operation, numbered in order. A put of no `value` writes its own number."""
        number = len(self.operations)
        if kind == "put" and not value:
            value = b"%d" % number
        operation = Operation(number, kind, key, quorum, invoked, deadline, namespace, value, basis)
        self.operations.append(operation)
        return operation

    def of(self, namespace: str) -> History:
        """The operations of one namespace, as a history of its own."""
        history = History()
        history.operations = [op for op in self.operations if op.namespace == namespace]
        return history

    def by_key(self) -> Iterator[tuple[str, list[Operation]]]:
        """The operations of each key, in order of invocation. All are of one namespace."""
        keys: dict[str, list[Operation]] = {}
        for operation in self.operations:
            keys.setdefault(operation.key, []).append(operation)
        yield from keys.items()

    @property
    def requests(self) -> list[Operation]:
        """The operations that clients asked for, listings left out."""
        return [operation for operation in self.operations if not operation.listed]

    def count(self, outcome: Outcome) -> int:
        """How many requests ended so."""
        return sum(operation.outcome == outcome for operation in self.requests)


def met(write: Operation, reader: Operation, replicas: int) -> bool:
    """True if `write` was acknowledged before `reader` began, and this one, a get or a write that
    had to look first, has asked an owner that had stored it: the quorums overlap, and owners
    alone were counted for both.
    """
    asked = reader.quorum if reader.kind == "get" else reader.looked
    overlap = write.quorum + asked > replicas and write.strict and reader.strict
    return write.outcome == "acked" and write.ended < reader.invoked and overlap

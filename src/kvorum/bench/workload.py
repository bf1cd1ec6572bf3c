"""Which operation is next: the YCSB core workloads, and puts or gets alone.

    a    1/2 read, 1/2 update          zipfian    a session store
    b    95% read, 5% update           zipfian    photo tags
    c    all read                      zipfian    a cache of profiles
    d    95% read, 5% insert           latest     status updates
    f    1/2 read, 1/2 read-modify-write   zipfian   user records
    put  all update                    uniform
    get  all read                      uniform

(YCSB's E asks for short ranges, which a store that hashes its keys does not offer.)
A read-modify-write puts back under the `valueVersion` it has read, and is one operation with
one latency.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Final, Protocol

from kvorum.bench.distribution import DISTRIBUTIONS
from kvorum.bench.plan import Plan
from kvorum.bench.requests import Requests, version_in
from kvorum.bench.values import Values

Follow = Callable[[bytes], bytes | None]


class Operation:
    """One or two requests, measured together.

    `request` goes out first. `follow`, if there is one, gets the body of its successful
    answer and returns the request that completes the operation, or None if it is complete;
    it raises ProtocolError if the body is not what was asked for. `again`: it was asked before,
    and failed.
    """

    __slots__ = ("again", "follow", "kind", "request")

    def __init__(self, kind: str, request: bytes, follow: Follow | None = None) -> None:
        self.kind = kind
        self.request = request
        self.follow = follow
        self.again = False


class Source(Protocol):
    """Where the operations of a run come from."""

    def next(self) -> Operation | None:
        """The next operation; None when there are no more."""


@dataclass(frozen=True, slots=True)
class Mix:
    """A workload: each kind of operation's share, and how keys are drawn."""

    shares: dict[str, float]
    distribution: str


WORKLOADS: Final = {
    "a": Mix({"read": 0.5, "update": 0.5}, "zipfian"),
    "b": Mix({"read": 0.95, "update": 0.05}, "zipfian"),
    "c": Mix({"read": 1.0}, "zipfian"),
    "d": Mix({"read": 0.95, "insert": 0.05}, "latest"),
    "f": Mix({"read": 0.5, "read-modify-write": 0.5}, "zipfian"),
    "put": Mix({"update": 1.0}, "uniform"),
    "get": Mix({"read": 1.0}, "uniform"),
}


class Keys:
    """The keys that are known to be stored, in order of insertion, and those to come.

    The first `loaded` are numbered 0, 1, ...; process i of n inserts loaded + i, loaded + i + n,
    and so on. A key counts as stored when its insert has been answered, so no read can
    overtake it.
    """

    __slots__ = ("_inserted", "_key", "_loaded", "_next", "_step")

    def __init__(self, plan: Plan, index: int) -> None:
        self._key = plan.key
        self._loaded = plan.keys
        self._inserted: list[int] = []
        self._next = plan.keys + index
        self._step = plan.processes

    @property
    def count(self) -> int:
        return self._loaded + len(self._inserted)

    def at(self, position: int) -> str:
        if position < self._loaded:
            return self._key(position)
        return self._key(self._inserted[position - self._loaded])

    def reserve(self) -> int:
        """The number of a new key."""
        number = self._next
        self._next += self._step
        return number

    def stored(self, number: int) -> None:
        self._inserted.append(number)


class Load:
    """Inserts every key once, in order."""

    def __init__(self, plan: Plan) -> None:
        self._keys = map(plan.key, range(plan.keys))
        self._requests = Requests(plan)
        self._values = Values(plan.rng("load", 0), plan.value_size)

    def next(self) -> Operation | None:
        key = next(self._keys, None)
        if key is None:
            return None
        return Operation("insert", self._requests.put(key, self._values.draw()))


class Workload:
    """An endless sequence of operations, given by the plan and the order of inserts' answers."""

    def __init__(self, plan: Plan, index: int) -> None:
        rng = plan.rng("run", index)
        mix = WORKLOADS[plan.workload]
        self._keys = Keys(plan, index)
        self._key_of = plan.key
        self._draw = DISTRIBUTIONS[plan.distribution](rng).draw
        self._random = rng.random
        self._requests = Requests(plan)
        self._values = Values(rng, plan.value_size)
        makers: dict[str, Callable[[], Operation]] = {
            "read": self._read,
            "update": self._update,
            "insert": self._insert,
            "read-modify-write": self._read_modify_write,
        }
        self._makers = [makers[kind] for kind in mix.shares]
        self._bounds = list(accumulate(mix.shares.values()))[:-1]

    def next(self) -> Operation:
        return self._makers[bisect(self._bounds, self._random())]()

    def _key(self) -> str:
        return self._keys.at(self._draw(self._keys.count))

    def _read(self) -> Operation:
        return Operation("read", self._requests.get(self._key()))

    def _update(self) -> Operation:
        return Operation("update", self._requests.put(self._key(), self._values.draw()))

    def _insert(self) -> Operation:
        number = self._keys.reserve()
        request = self._requests.put(self._key_of(number), self._values.draw())
        return Operation("insert", request, partial(self._inserted, number))

    def _inserted(self, number: int, body: bytes) -> bytes | None:
        self._keys.stored(number)
        return None

    def _read_modify_write(self) -> Operation:
        key = self._key()
        follow = partial(self._write_back, key)
        return Operation("read-modify-write", self._requests.get(key), follow)

    def _write_back(self, key: str, body: bytes) -> bytes | None:
        return self._requests.replace(key, self._values.draw(), version_in(body))

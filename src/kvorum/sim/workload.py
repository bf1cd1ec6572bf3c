"""The workload: clients that meet on few keys, each at a random node, drawn from the seed.

What a client does next it decides as an application would: it reads, writes blindly, updates
on the version it last got of the key, deletes. Now and then it uses an older version, states
what it expects to find, or names its own quorum. Where values expire it also touches some. In
some runs few values are written again and again.
"""

from __future__ import annotations

from dataclasses import replace

from kvorum.model.request import ABSENT, ANY, EXACT, PRESENT
from kvorum.sim.client import Basis, Client, Wish
from kvorum.sim.history import History, Kind, Operation
from kvorum.sim.parameters import TTL_S_MAX, Parameters, stream
from kvorum.sim.world import World

_TAGGED = 3
"""One key in so many has a hash tag."""


def _key(number: int) -> str:
    tagged = number % _TAGGED == _TAGGED - 1
    return f"{{тег}} key {number} ключ" if tagged else f"key {number} ключ"


Known = dict[tuple[str, str], list[Basis]]
"""The versions that a client got, by namespace and key, latest last."""

_NOBODY_UP_S = 0.01


class Workload:
    """All clients; they stop when together they have done their share of operations."""

    def __init__(self, world: World, parameters: Parameters) -> None:
        self.history = History()
        self.keys = [_key(i) for i in range(parameters.keys)]
        self._world = world
        self._parameters = parameters
        self._rng = stream(parameters.seed, "workload")
        self._lifetimes = stream(parameters.seed, "lifetimes")
        self._touches = stream(parameters.seed, "touches")
        self._values = stream(parameters.seed, "values written")
        self._namespaces = stream(parameters.seed, "namespaces used")
        self._asked = 0
        self._busy = parameters.clients

    @property
    def busy(self) -> bool:
        return self._busy > 0

    def start(self) -> None:
        for _ in range(self._parameters.clients):
            _Worker(self, Client(self._world, self.history)).rest()

    def next_wish(self, known: Known) -> Wish | None:
        """What a client that knows these versions does next; None when all is done."""
        if self._asked == self._parameters.operations:
            self._busy -= 1
            return None
        self._asked += 1
        rng, mix = self._rng, self._parameters.mix
        key = rng.choice(self.keys)
        namespace = self._namespace()
        kind = rng.choices(_KINDS, (mix.get, mix.put, mix.update, mix.delete))[0]
        versions = known.get((namespace, key), [])
        touch = self._touch(key, versions)
        quorum = 0
        if rng.random() < mix.choosy:
            quorum = rng.randint(1, self._parameters.namespaces[namespace].replicas)
        if touch is not None:
            return replace(touch, namespace=namespace, quorum=quorum)
        if kind == "get" or (kind == "update" and not versions):
            return Wish("get", key, namespace, quorum=quorum)
        basis = None
        if versions and (kind == "update" or (kind == "delete" and rng.random() < 0.7)):
            basis = rng.choice(versions) if rng.random() < mix.stale else versions[-1]
        expect = ANY
        if rng.random() < mix.conditional:
            expect = rng.choice((ABSENT, PRESENT) if basis is None else (EXACT, PRESENT))
        what: Kind = "delete" if kind == "delete" else "put"
        ttl_s, value = self._lifetime(what), self._value(what)
        return Wish(what, key, namespace, basis, expect, quorum, ttl_s, value)

    def _namespace(self) -> str:
        names = list(self._parameters.namespaces)
        return self._namespaces.choice(names) if len(names) > 1 else names[0]

    def _touch(self, key: str, versions: list[Basis]) -> Wish | None:
        """Of all there is, or of what some version covers, which may have to be the latest."""
        rng, mix = self._touches, self._parameters.mix
        if not mix.touching or rng.random() >= mix.touching:
            return None
        ttl_s = rng.randint(0, TTL_S_MAX)
        if not versions or rng.random() < 0.5:
            return Wish("touch", key, expect=rng.choice((ANY, ANY, PRESENT)), ttl_s=ttl_s)
        basis = rng.choice(versions) if rng.random() < mix.stale else versions[-1]
        return Wish("touch", key, basis=basis, expect=rng.choice((ANY, EXACT)), ttl_s=ttl_s)

    def _lifetime(self, what: Kind) -> int:
        """In seconds; 0 is for ever."""
        fleeting = self._parameters.mix.fleeting
        if what == "put" and fleeting and self._lifetimes.random() < fleeting:
            return self._lifetimes.randint(1, TTL_S_MAX)
        return 0

    def _value(self, what: Kind) -> bytes:
        rng, mix = self._values, self._parameters.mix
        value = b""
        if what == "put" and mix.values and rng.random() < mix.repeating:
            value = b"value %d" % rng.randrange(mix.values)
        if what == "put" and mix.large and rng.random() < mix.large:
            large = self._parameters.value_bytes_max
            size = large if value else rng.randint(large // 10, large)
            value = (value or b"large %d" % self._asked).ljust(size, b".")
        return value

    def pick_node(self) -> int | None:
        up = self._world.departures.staying(self._world.up())
        return self._rng.choice(up) if up else None

    def after_a_pause(self, worker: _Worker) -> None:
        pause_s = self._rng.expovariate(1 / self._parameters.pause_s_mean)
        self._world.scheduler.after(pause_s, None, worker.go_on)

    def await_a_node(self, worker: _Worker) -> None:
        self._world.scheduler.after(_NOBODY_UP_S, None, worker.go_on)


_KINDS = ("get", "put", "update", "delete")


class _Worker:
    """One client's memory."""

    def __init__(self, workload: Workload, client: Client) -> None:
        self._workload = workload
        self._client = client
        self._known: Known = {}

    def rest(self) -> None:
        self._workload.after_a_pause(self)

    def go_on(self) -> None:
        node = self._workload.pick_node()
        if node is None:
            self._workload.await_a_node(self)
            return
        wish = self._workload.next_wish(self._known)
        if wish is not None:
            self._client.ask(wish, node, self._on_ended)

    def _on_ended(self, operation: Operation, basis: Basis | None) -> None:
        if basis is not None:
            where = (operation.namespace, operation.key)
            self._known.setdefault(where, []).append(basis)
        self.rest()

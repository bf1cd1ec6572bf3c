"""A stage: a few real replicators on a hand-turned clock and network, for transcripts.

Nothing happens by itself. `settle` delivers everything that is under way, in order; `wait`
turns the clock. Disks sync when asked for, that is, at once, unless a node's disk is held.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from kit.runtime import Pump
from kvorum.cluster.view import ClusterView
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.keys import token_range
from kvorum.model.placement import Placement
from kvorum.model.request import Listing, Request, Result, Selection
from kvorum.model.topology import NamespaceSettings, NodeSpec, Topology
from kvorum.replication.replicator import Incarnation, Replicator
from kvorum.runtime.ports import Cancellable
from kvorum.storage.recovery_note import NOTE, WHOLE
from kvorum.storage.routed import RoutedStore, volatile_stores
from kvorum.storage.store import Done, KeyRange, Store
from kvorum.wire.batches import decode_batch, encode_batch
from kvorum.wire.frames import FRAME_BYTES_MAX
from kvorum.wire.messages import Message


class LifeClock:
    """The Runtime of one node, until it is killed: then nothing it asked for happens."""

    def __init__(self, clock: Pump) -> None:
        self.rng = clock.rng
        self.killed = False
        self.now = clock.now
        self.ahead_ms = 0
        self._clock = clock

    def wall_ms(self) -> int:
        return self._clock.wall_ms() + self.ahead_ms

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._clock.call_soon(self._run, callback, *args)

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *args: Any
    ) -> Cancellable:
        return self._clock.call_later(delay_s, self._run, callback, *args)

    def _run(self, callback: Callable[..., object], *args: Any) -> None:
        if not self.killed:
            callback(*args)


class Disk:
    """A Store whose content outlives its node; `held` keeps writes from becoming durable, and
    what is in `damaged` cannot be read until something else is written there. What is in
    `failing` cannot be read for now.
    """

    def __init__(self, clock: Pump) -> None:
        self.durable: dict[bytes, bytes] = {NOTE: WHOLE}
        self.held = False
        self.damaged: set[bytes] = set()
        self.failing: set[bytes] = set()
        self.full = False
        self.pressed = False
        self._clock = clock
        self._visible = dict(self.durable)
        self._pending: list[tuple[bytes, bytes | None, Done, Any]] = []
        self._failure: StorageError | None = None

    @property
    def failed(self) -> StorageError | None:
        return self._failure

    def get(self, key: bytes) -> bytes | None:
        if key in self.damaged:
            raise CorruptRecord("the record is damaged")
        if key in self.failing:
            raise StorageError("the record cannot be read")
        return self._visible.get(key)

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | None:
        return self.get(key)

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        self._visible[key] = value
        self.damaged.discard(key)
        self._enqueue(key, value, done, arg)

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        self._visible.pop(key, None)
        self._enqueue(key, None, done, arg)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        keys = sorted(self._visible.keys() - self.damaged)
        keys = keys[bisect_left(keys, start) : bisect_left(keys, end)][:limit]
        return [(key, self._visible[key]) for key in keys]

    def unreadable(self, start: bytes, end: bytes) -> list[KeyRange]:
        return [token_range(key[1:]) for key in sorted(self.damaged) if start <= key < end]

    def _enqueue(self, key: bytes, value: bytes | None, done: Done, arg: Any) -> None:
        self._pending.append((key, value, done, arg))
        self._clock.call_soon(self.sync)

    def sync(self) -> None:
        if self.held:
            return
        pending, self._pending = self._pending, []
        for key, value, done, arg in pending:
            if self._failure is None:
                if value is None:
                    self.durable.pop(key, None)
                else:
                    self.durable[key] = value
            done(arg, self._failure)

    def fail(self) -> None:
        self._failure = StorageError("the disk is broken")

    def crash(self) -> None:
        self._pending.clear()
        self._visible = dict(self.durable)


class Line:
    """The Transport of one node."""

    def __init__(self, stage: Stage, local: int) -> None:
        self._stage = stage
        self._local = local

    def send(self, node: int, message: Message) -> None:
        self._stage.post(self._local, self._stage.numbers.index(node), message)

    def is_up(self, node: int) -> bool:
        return self._stage.linked(self._local, self._stage.numbers.index(node))


class Stage:
    def __init__(
        self, nodes: int, settings: NamespaceSettings, numbers: Sequence[int] | None = None
    ) -> None:
        """`numbers`: of the nodes, in their order; where they are left out, from 0."""
        self.clock = Pump(seed=7, wall_from_ms=1_700_000_000_000)
        self.numbers = list(numbers or range(nodes))
        self.topology = Topology(
            cluster="stage",
            nodes=tuple(
                NodeSpec(
                    name=f"n{i + 1}",
                    http=f"127.0.0.1:{i + 1}",
                    peer=f"127.0.0.1:{i + 501}",
                    number=number,
                )
                for i, number in enumerate(self.numbers)
            ),
            namespaces={"default": settings},
        )
        self.placement = Placement(self.topology)
        self.disks = [Disk(self.clock) for _ in range(nodes)]
        self.shredded: list[dict[bytes, int]] = [{} for _ in range(nodes)]
        """By node and namespace until when what was written is not to be there any more."""
        self.lives = [1] * nodes
        self.views = [ClusterView(self.topology, number) for number in self.numbers]
        self.clocks = [LifeClock(self.clock) for _ in range(nodes)]
        self.nodes: list[Replicator | None] = [None] * nodes
        self.cuts: set[frozenset[int]] = set()
        self.holds: set[tuple[int, int]] = set()
        self.posts: deque[tuple[int, int, bytes]] = deque()
        self.long_s = 0.0
        """What a message that is too long for a frame takes; short ones overtake it."""
        self.long_ones: list[Message] = []
        for node in range(nodes):
            self._build(node)
        for replicator in self.nodes:
            assert replicator is not None
            replicator.start()
        self.settle()

    def _build(self, node: int, *, crashed: bool = False) -> None:
        actor = (node + 1) << 20 | self.lives[node]
        self.views[node] = ClusterView(self.topology, self.numbers[node])
        self.nodes[node] = Replicator(
            self.views[node],
            self.clocks[node],
            Line(self, node),
            self._store(node),
            Incarnation(actor, 0, crashed, self.shredded[node]),
        )

    def _store(self, node: int) -> Store:
        """The disk, and in front of it, new in each life, what is kept in memory only."""
        kept = volatile_stores(self.topology.namespaces, self.clocks[node])
        return RoutedStore(self.disks[node], kept) if kept else self.disks[node]

    # The network

    def linked(self, a: int, b: int) -> bool:
        return None not in (self.nodes[a], self.nodes[b]) and frozenset((a, b)) not in self.cuts

    def post(self, sender: int, node: int, message: Message) -> None:
        post = sender, node, encode_batch([message])
        if not self.long_s or len(post[2]) <= FRAME_BYTES_MAX:
            self.posts.append(post)
        else:
            self.long_ones.append(message)
            self.clock.call_later(self.long_s, self.posts.append, post)

    def deliver_next(self) -> bool:
        """Deliver the oldest message that is not held; False if there is none."""
        for index, (sender, node, data) in enumerate(self.posts):
            if (sender, node) in self.holds:
                continue
            del self.posts[index]
            receiver = self.nodes[node]
            if receiver is not None and self.linked(sender, node):
                (message,) = decode_batch(data)
                receiver.on_message(self.numbers[sender], message)
            return True
        return False

    def settle(self) -> None:
        """Run until nothing is left to do now."""
        while self.step():
            pass

    def step(self) -> bool:
        """One callback or one message; False if there is nothing to do now."""
        if self.clock.soon:
            self.clock.soon.popleft()()
            return True
        return self.deliver_next()

    def wait(self, seconds: float) -> None:
        until = self.clock.time + seconds
        self.settle()
        while (timer := self.clock.due(until)) is not None:
            timer.go_off()
            self.settle()

    def cut(self, a: int, b: int) -> None:
        self.cuts.add(frozenset((a, b)))
        self._lost(a, b)

    def mend(self, a: int, b: int) -> None:
        self.cuts.discard(frozenset((a, b)))
        self._found(a, b)

    def _lost(self, a: int, b: int) -> None:
        self.posts = deque(post for post in self.posts if {post[0], post[1]} != {a, b})
        for here, there in ((a, b), (b, a)):
            replicator = self.nodes[here]
            if replicator is not None:
                replicator.on_peer_lost(self.numbers[there])

    def _found(self, a: int, b: int) -> None:
        for here, there in ((a, b), (b, a)):
            replicator = self.nodes[here]
            if replicator is not None and self.linked(a, b):
                replicator.on_peer_up(self.numbers[there])

    # Nodes

    def kill(self, node: int) -> None:
        """The node stops at once; what its disk had not synced is gone."""
        self.nodes[node] = None
        self.clocks[node].killed = True
        self.disks[node].crash()
        for other in range(len(self.nodes)):
            if other != node:
                self._lost(node, other)

    def restart(self, node: int, *, crashed: bool = False) -> None:
        self.lives[node] += 1
        self.clocks[node] = LifeClock(self.clock)
        self._build(node, crashed=crashed)
        replicator = self.nodes[node]
        assert replicator is not None
        replicator.start()
        for other in range(len(self.nodes)):
            if other != node:
                self._found(node, other)

    # Clients

    def ask(self, node: int, request: Request) -> list[Result]:
        """Submit; the answer appears in the returned list, at most once."""
        replicator = self.nodes[node]
        assert replicator is not None, f"n{node + 1} is down"
        answers: list[Result] = []
        replicator.submit(request, answers.append)
        assert not answers, "answered before submit returned"
        return answers

    def scan(self, node: int, after: bytes, limit: int) -> list[Any]:
        replicator = self.nodes[node]
        assert replicator is not None
        answers: list[Listing | Any] = []
        selection = Selection("default", limit=limit, cursor=after)
        replicator.scan(selection, answers.append)
        self.settle()
        return answers

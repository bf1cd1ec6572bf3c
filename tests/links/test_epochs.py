"""Two nodes at two epochs: what they do for each other, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from kit.links import InMemory, Node, topology

from kvorum.links.fence import ChangedPartitions, Partitioning
from kvorum.links.views import StaticView, members_digest
from kvorum.model.keys import partition_range, storage_key
from kvorum.model.request import Put
from kvorum.model.topology import Topology
from kvorum.wire.messages import (
    Behind,
    Fetch,
    Forget,
    Forward,
    Message,
    Ping,
    Read,
    Same,
    SyncState,
    ViewUpdate,
    Wrote,
)

KEY = storage_key(bytes(16), "default", b"key")
OTHER_KEY = partition_range(7, 8)[0] + b"default\0key"
REQUESTS: list[Message] = [
    Read(1, KEY, b""),
    Fetch(2, OTHER_KEY, b""),
    Forward(3, Put("default", "k", 1, b"1")),
]
HARMLESS: list[Message] = [Ping(1, 0), SyncState(False), Same(4), Wrote(5)]


def linked(mine: Topology, theirs: Topology, **views: Any) -> tuple[InMemory, Node, Node]:
    world = InMemory()
    a = world.start(0, mine, views=views.get("a"))
    b = world.start(1, theirs, views=views.get("b"))
    a.send(1, [Wrote(0)])
    world.settle()
    assert a.heard == [("up", 1)]
    assert b.heard == [("up", 0)]
    b.received.clear()
    return world, a, b


def heavier(its_topology: Topology, epoch: int) -> Topology:
    """The same nodes, one of them with more partitions."""
    first, *others = its_topology.nodes
    nodes = (msgspec.structs.replace(first, weight=3.0), *others)
    return msgspec.structs.replace(its_topology, nodes=nodes, epoch=epoch)


def moved(its_topology: Topology, epoch: int) -> Topology:
    """The same nodes, one of them at another address."""
    first, *others = its_topology.nodes
    nodes = (msgspec.structs.replace(first, peer="127.0.0.1:9999"), *others)
    return msgspec.structs.replace(its_topology, nodes=nodes, epoch=epoch)


@pytest.mark.parametrize(("mine", "theirs"), [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("change", [moved, None])
def test_with_the_same_members_every_epoch_is_as_good(mine: int, theirs: int, change: Any) -> None:
    ours = topology(2, epoch=mine)
    other = topology(2, epoch=theirs)
    if change is not None and mine != theirs:
        other = change(other, theirs)
    world, a, b = linked(ours, other)
    a.send(1, REQUESTS + HARMLESS)
    b.send(0, REQUESTS + HARMLESS)
    world.settle()
    assert b.messages() == REQUESTS + HARMLESS
    assert a.messages() == REQUESTS + HARMLESS
    assert a.log.warnings == b.log.warnings == []


@pytest.mark.parametrize(("mine", "theirs"), [(1, 2), (2, 1)])
def test_with_other_members_requests_are_refused_and_nothing_else(mine: int, theirs: int) -> None:
    world, a, b = linked(topology(2, epoch=mine), heavier(topology(2), theirs))
    a.send(1, REQUESTS + HARMLESS + [Forget([(KEY, b"")])])
    world.settle()
    assert b.messages() == HARMLESS
    assert a.messages() == [Behind(1, theirs), Behind(2, theirs), Behind(3, theirs)]
    [warning] = b.log.warnings
    assert warning == (
        f"n0 is at epoch {mine} and this node at {theirs}, where 256 of 256 partitions have other "
        "owners: requests about them are refused until both are at one epoch. Give both nodes "
        "the same cluster file."
    )


def test_at_one_epoch_members_that_differ_are_refused_a_link() -> None:
    world = InMemory()
    a = world.start(0, topology(2))
    b = world.start(1, heavier(topology(2), 1))
    a.send(1, [Wrote(1)])
    world.settle()
    assert a.heard == [("lost", 1)]
    assert b.heard == []
    [said] = b.log.warnings
    assert "have other nodes, though both are of epoch 1" in said
    assert "Give both nodes the same cluster file" in said


def test_members_are_what_decides_who_owns_what() -> None:
    base = topology(3)
    assert members_digest(base) == members_digest(moved(base, 5))
    assert members_digest(base) != members_digest(heavier(base, 1))
    assert members_digest(base) != members_digest(topology(4))


def test_a_static_view_has_nothing_to_send() -> None:
    view = StaticView(topology(2, epoch=4))
    assert view.lacking(3) is None
    assert not view.changed(3, members_digest(topology(2)))
    assert len(view.changed(3, "others").among) == 256
    assert not view.changed(4, "others")


@dataclass
class Log:
    """A view that goes on while the node runs: all nodes have the same history."""

    topology: Topology
    history: dict[int, tuple[int, ...]]
    """By epoch the partitions that changed their owners in it."""
    advice = "Wait."
    told: list[tuple[int, int]] = field(default_factory=list)
    peers: Any = None

    @property
    def epoch(self) -> int:
        return self.topology.epoch

    def on_epoch(self, node: int, epoch: int) -> None:
        self.told.append((node, epoch))

    def lacking(self, epoch: int) -> bytes | None:
        return b"from %d" % epoch

    def on_update(self, _node: int, update: ViewUpdate) -> None:
        if update.epoch > self.epoch:
            self.go_on(update.epoch)

    def go_on(self, epoch: int) -> None:
        self.topology = msgspec.structs.replace(self.topology, epoch=epoch)
        self.peers.advance(self.topology)

    def changed(self, epoch: int, _members: str) -> ChangedPartitions:
        low, high = sorted((epoch, self.epoch))
        among = {p for e in range(low + 1, high + 1) for p in self.history.get(e, ())}
        partitioning = Partitioning(self.topology.partition_bits, "murmur3", 0)
        return ChangedPartitions(partitioning, among)


def logs(mine: int, theirs: int, history: dict[int, tuple[int, ...]]) -> dict[str, Log]:
    return {
        name: Log(topology(2, epoch=epoch), history) for name, epoch in (("a", mine), ("b", theirs))
    }


def with_logs(
    mine: int, theirs: int, history: dict[int, tuple[int, ...]]
) -> tuple[InMemory, Node, Node, dict[str, Log]]:
    views = logs(mine, theirs, history)
    world = InMemory()
    a = world.start(0, views["a"].topology, views=views["a"])
    b = world.start(1, views["b"].topology, views=views["b"])
    views["a"].peers, views["b"].peers = a.peers, b.peers
    return world, a, b, views


def test_who_is_behind_is_sent_what_it_lacks_when_the_link_opens() -> None:
    world, a, b, views = with_logs(2, 5, {})
    a.send(1, REQUESTS)
    world.settle()
    assert views["a"].epoch == 5
    assert views["a"].told == [(1, 5)]
    assert views["b"].told == [(0, 2)]
    assert b.messages() == REQUESTS
    a.send(1, [Wrote(9)])
    world.settle()
    assert views["b"].told == [(0, 2), (0, 5)]
    assert a.faults == b.faults == []


def test_who_goes_on_brings_the_others_along() -> None:
    world, a, b, views = with_logs(2, 2, {3: (0,)})
    a.send(1, [Wrote(0)])
    world.settle()
    views["b"].go_on(3)
    world.settle()
    assert views["a"].epoch == 3
    assert views["a"].told[-1] == (1, 3)
    a.send(1, REQUESTS)
    world.settle()
    assert views["b"].told[-1] == (0, 3)
    assert b.messages() == [Wrote(0), *REQUESTS]


def test_a_message_is_judged_by_the_epoch_it_was_made_in() -> None:
    """Partition 0 changed its owners when the request for it was on its way."""
    world, a, b, views = with_logs(2, 2, {3: (0,)})
    a.send(1, [Wrote(0)])
    world.settle()
    a.send(1, [Read(1, KEY, b""), Read(2, OTHER_KEY, b""), Wrote(3)])
    world.runtime.turn()
    views["b"].go_on(3)
    world.settle()
    assert b.messages() == [Wrote(0), Read(2, OTHER_KEY, b""), Wrote(3)]
    assert a.messages() == [Behind(1, 3)]


def test_what_was_said_before_the_sender_went_on_is_made_in_the_epoch_before() -> None:
    world, a, b, views = with_logs(2, 2, {3: (0,)})
    a.send(1, [Wrote(0)])
    world.settle()
    a.send(1, [Read(1, KEY, b"")])
    views["a"].go_on(3)
    a.send(1, [Read(2, KEY, b"")])
    world.settle()
    assert b.messages() == [Wrote(0), Read(1, KEY, b""), Read(2, KEY, b"")]
    assert views["b"].epoch == 3

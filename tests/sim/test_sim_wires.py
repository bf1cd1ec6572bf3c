from __future__ import annotations

import random
from dataclasses import replace

import pytest

from kvorum.links.peers import Peers
from kvorum.model.errors import StorageError
from kvorum.model.request import Put
from kvorum.model.topology import NodeSpec, Topology
from kvorum.sim.network import Conditions, Network
from kvorum.sim.scheduler import NodeRuntime, Scheduler
from kvorum.sim.trace import Trace
from kvorum.sim.wires import LIMITS, Plug, Wires
from kvorum.wire.messages import Forward, Message, Write, Wrote

CALM = Conditions()


class Identity:
    """Of one disk of a node."""

    def __init__(self, node: int, disk: int) -> None:
        self.node_id = f"{16 * disk + node + 1:011x}".ljust(32, "0")
        self.incarnation = 1


class Ear:
    """A node that only notes what it hears."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.heard: list[tuple[int, Message]] = []
        self.events: list[tuple[str, int]] = []
        self.identities: list[tuple[int, str]] = []

    def on_message(self, node: int, message: Message) -> None:
        self.heard.append((node, message))

    def on_peer_up(self, node: int) -> None:
        self.events.append(("up", node))

    def on_peer_lost(self, node: int) -> None:
        self.events.append(("lost", node))

    def on_identity(self, node: int, node_id: str, _name: str) -> None:
        self.identities.append((node, node_id))

    def ops(self) -> list[int]:
        return [message.op for _, message in self.heard if isinstance(message, Wrote)]


class Cluster:
    def __init__(self, nodes: int = 2, seed: int = 0) -> None:
        self.scheduler = Scheduler(100_000)
        self.network = Network(self.scheduler, random.Random(seed), CALM, nodes)
        self.trace = Trace(self.scheduler)
        self.wires = Wires(self.network, random.Random(seed), self.trace, nodes)
        self.topology = Topology(
            cluster="wires",
            nodes=tuple(
                NodeSpec(name=f"n{i}", http=f"127.0.0.1:{i + 1}", peer=f"127.0.0.1:{i + 1001}")
                for i in range(nodes)
            ),
        )
        self.runtimes: dict[int, NodeRuntime] = {}
        self.ears: dict[int, Ear] = {}
        self.plugs: dict[int, Plug] = {}
        self.transports: dict[int, Peers] = {}
        for node in range(nodes):
            self.start(node)

    def start(self, node: int, disk: int = 0) -> None:
        ear = self.ears[node] = Ear(self.scheduler)
        self.runtimes[node] = NodeRuntime(self.scheduler, random.Random(node), 0)
        plug = self.plugs[node] = self.wires.attach(node, self.runtimes[node])
        plug.peers = self.transports[node] = Peers(
            self.topology, node, Identity(node, disk), plug, ear.on_identity, LIMITS
        )
        plug.peers.receiver = ear

    def kill(self, node: int) -> None:
        self.runtimes[node].stopped = True
        self.wires.detach(node)

    def send(self, source: int, target: int, *ops: int) -> None:
        for op in ops:
            self.transports[source].send(target, Wrote(op))

    def run(self, duration_s: float = 5.0) -> None:
        self.scheduler.run_for(duration_s)


def connected(conditions: Conditions = CALM, nodes: int = 2, seed: int = 0) -> Cluster:
    """With all links made before any of `conditions` can strike."""
    cluster = Cluster(nodes, seed)
    for source in range(nodes):
        for target in range(source + 1, nodes):
            cluster.send(source, target, 0)
    cluster.run()
    for ear in cluster.ears.values():
        ear.heard.clear()
        ear.events.clear()
    cluster.network.conditions = conditions
    return cluster


def test_the_first_message_makes_the_link_and_arrives() -> None:
    cluster = Cluster()
    cluster.send(0, 1, 7)
    assert cluster.ears[1].heard == []
    cluster.run()
    assert cluster.ears[1].heard == [(0, Wrote(7))]
    assert cluster.ears[0].events == [("up", 1)]
    assert cluster.ears[1].events == [("up", 0)]


def test_a_message_is_a_decoded_copy() -> None:
    cluster = connected()
    sent = Wrote(7)
    cluster.transports[0].send(1, sent)
    cluster.run()
    ((_, got),) = cluster.ears[1].heard
    assert got == sent
    assert got is not sent


def test_messages_to_oneself_are_a_fault_of_the_sender() -> None:
    with pytest.raises(KeyError):
        connected().send(0, 0, 1)


def test_order_is_kept_on_a_link_however_long_single_batches_take() -> None:
    cluster = connected(replace(CALM, delay=0.3))
    for op in range(200):
        cluster.send(0, 1, op)
        cluster.run(0.0005)
    cluster.run()
    assert cluster.ears[1].ops() == list(range(200))
    assert cluster.network.counts["delay"] > 0


def test_reordering_breaks_the_order_and_loses_nothing() -> None:
    cluster = connected(replace(CALM, reorder=0.5))
    for op in range(200):
        cluster.send(0, 1, op)
        cluster.run(0.0005)
    cluster.run()
    got = cluster.ears[1].ops()
    assert got != sorted(got)
    assert sorted(got) == list(range(200))


def test_loss_is_silent() -> None:
    cluster = connected(replace(CALM, loss=0.5))
    for op in range(200):
        cluster.send(0, 1, op)
        cluster.run(0.01)
    got = cluster.ears[1].ops()
    assert 50 < len(got) < 150
    assert got == sorted(got)
    assert cluster.ears[0].events == cluster.ears[1].events == []


def test_duplicates_come_late_and_never_of_a_forward() -> None:
    cluster = connected(replace(CALM, duplicate=1.0))
    cluster.send(0, 1, 7)
    cluster.transports[0].send(1, Forward(8, Put("default", "k", 1, b"1")))
    cluster.run()
    kinds = [type(message) for _, message in cluster.ears[1].heard]
    assert kinds == [Wrote, Forward, Wrote]


def test_a_bug_that_a_message_meets_ends_the_run() -> None:
    cluster = connected()
    cluster.transports[1].receiver = Broken(cluster.scheduler)
    cluster.send(0, 1, 7)
    with pytest.raises(StorageError, match="a bug"):
        cluster.run()


class Broken(Ear):
    def on_message(self, node: int, message: Message) -> None:
        raise StorageError("a bug")


def test_nodes_that_dial_at_once_end_with_one_link() -> None:
    for seed in range(30):
        cluster = Cluster(seed=seed)
        cluster.send(0, 1, 1)
        cluster.send(1, 0, 2)
        cluster.run()
        assert cluster.ears[0].events == [("up", 1)]
        assert cluster.ears[1].events == [("up", 0)]
        assert (cluster.ears[1].ops(), cluster.ears[0].ops()) == ([1], [2])


def test_the_greeting_tells_who_comes_back_with_another_disk() -> None:
    cluster = connected()
    cluster.kill(1)
    cluster.start(1, disk=1)
    cluster.run()
    assert cluster.ears[0].events[-1] == ("up", 1)
    assert cluster.ears[0].identities == [
        (1, Identity(1, 0).node_id),
        (1, Identity(1, 1).node_id),
    ]


def test_faults_of_single_frames_spare_the_greetings() -> None:
    for seed in range(30):
        cluster = Cluster(seed=seed)
        cluster.network.conditions = Conditions(loss=0.9, reorder=0.9, duplicate=0.9)
        cluster.send(0, 1, 1)
        cluster.run(0.5)
        assert cluster.ears[0].events == [("up", 1)]
        assert cluster.ears[1].events == [("up", 0)]


def test_a_node_that_hears_nothing_gives_its_link_up() -> None:
    cluster = connected()
    cluster.network.block(1, 0)
    cluster.run(7.0)
    assert cluster.ears[0].events == [("lost", 1)]


def test_a_seed_gives_the_same_run_twice() -> None:
    def run(seed: int) -> str:
        cluster = connected(replace(CALM, delay=0.1, reorder=0.3, duplicate=0.3), seed=seed)
        for op in range(50):
            cluster.send(0, 1, op)
            cluster.run(0.0005)
        cluster.run()
        return cluster.trace.digest()

    assert run(5) == run(5) != run(6)


def test_a_broken_link_is_heard_of_at_both_ends_and_made_again() -> None:
    cluster = connected()
    assert cluster.wires.break_link(0, 1)
    cluster.run()
    assert cluster.ears[0].events == [("lost", 1), ("up", 1)]
    assert cluster.ears[1].events == [("lost", 0), ("up", 0)]
    cluster.send(1, 0, 9)
    cluster.run()
    assert cluster.ears[0].ops() == [9]


def test_what_is_sent_on_a_link_that_has_broken_is_lost() -> None:
    cluster = connected()
    cluster.wires.break_link(0, 1)
    cluster.send(0, 1, 1)
    cluster.run()
    assert cluster.ears[1].ops() == []


def test_what_was_on_its_way_when_the_link_broke_does_not_come_over_the_next() -> None:
    late = 0
    for seed in range(50):
        cluster = connected(seed=seed)
        cluster.network.stall(0, 1, 0.02)
        cluster.send(0, 1, 1)
        cluster.scheduler.run_for(0.0)
        cluster.wires.break_link(0, 1)
        cluster.run()
        events = cluster.ears[1].events
        assert events == [("lost", 0), ("up", 0)]
        late += cluster.ears[1].ops() == [1]
    assert 0 < late < 50, "it may arrive before the loss is heard of, else not at all"


def test_a_node_that_is_down_is_known_to_be_down_and_what_waits_for_it_is_lost() -> None:
    cluster = connected()
    cluster.kill(1)
    cluster.run()
    assert not cluster.transports[0].is_up(1)
    lost_before = cluster.ears[0].events.count(("lost", 1))
    cluster.send(0, 1, 1)
    cluster.run()
    assert cluster.ears[0].events.count(("lost", 1)) == lost_before + 1
    cluster.start(1)
    cluster.run()
    assert cluster.transports[0].is_up(1)
    assert cluster.ears[1].ops() == []


def test_a_stopped_node_hears_nothing_more() -> None:
    cluster = connected()
    old = cluster.ears[1]
    cluster.send(0, 1, 1)
    cluster.kill(1)
    cluster.start(1)
    cluster.run()
    assert old.heard == cluster.ears[1].heard == []


def test_a_blocked_path_swallows_one_direction() -> None:
    cluster = connected()
    cluster.wires.block(0, 1)
    cluster.send(0, 1, 1)
    cluster.send(1, 0, 2)
    cluster.run()
    assert (cluster.ears[1].ops(), cluster.ears[0].ops()) == ([], [2])
    cluster.wires.unblock(0, 1)
    cluster.send(0, 1, 3)
    cluster.run()
    assert cluster.ears[1].ops() == [3]


def test_no_link_is_made_over_a_blocked_path() -> None:
    cluster = connected()
    cluster.wires.block(1, 0)
    cluster.wires.break_link(0, 1)
    cluster.run()
    assert not cluster.transports[0].is_up(1)
    cluster.network.heal()
    cluster.run()
    assert cluster.transports[0].is_up(1)


def test_a_stalled_path_holds_back_and_keeps_order() -> None:
    cluster = connected()
    cluster.network.stall(0, 1, 1.0)
    cluster.send(0, 1, 1)
    cluster.run(0.9)
    cluster.send(0, 1, 2)
    assert cluster.ears[1].ops() == []
    cluster.run()
    assert cluster.ears[1].ops() == [1, 2]


def test_the_cluster_is_whole_when_all_know_who_is_up() -> None:
    cluster = connected(nodes=3)
    assert cluster.wires.whole()
    changes = cluster.wires.changes
    cluster.kill(2)
    assert not cluster.wires.whole(), "nobody has heard of it yet"
    cluster.run()
    assert cluster.wires.whole()
    assert cluster.wires.changes > changes
    cluster.wires.block(0, 1)
    assert not cluster.wires.whole()


def test_long_messages_take_as_long_as_their_bytes_and_short_ones_overtake_them() -> None:
    cluster = connected()
    long: list[Message] = [Write(op, b"key", bytes(24 << 20)) for op in (1, 2)]
    for message in long:
        cluster.transports[0].send(1, message)
    for op in range(10):
        cluster.send(0, 1, op)
        cluster.run(0.1)
    assert cluster.ears[1].ops() == list(range(10))
    assert len(cluster.ears[1].heard) == 10
    cluster.run(1.0)
    assert [message for _, message in cluster.ears[1].heard[10:]] == long[:1]
    cluster.run(2.0)
    assert [message for _, message in cluster.ears[1].heard[10:]] == long
    assert cluster.ears[0].events == cluster.ears[1].events == []


def test_a_long_message_is_lost_as_a_whole_or_with_its_link() -> None:
    long = Write(1, b"key", bytes(24 << 20))
    cluster = connected(replace(CALM, loss=1.0))
    cluster.transports[0].send(1, long)
    cluster.run()
    assert cluster.ears[1].heard == []
    cluster.network.conditions = CALM
    cluster.transports[0].send(1, long)
    cluster.run(0.5)
    cluster.wires.break_link(0, 1)
    cluster.run()
    assert cluster.ears[1].heard == []

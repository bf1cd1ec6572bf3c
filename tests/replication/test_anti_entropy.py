"""Replicas that differ become equal by themselves, for few bytes, and whatever is damaged.

Differences are planted as a faulty link would make them: a `Write` that reaches one replica.
"""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.errors import ProtocolError
from kvorum.model.keys import TOKEN_HASHES, storage_key
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import EMPTY, JSON, Event, decode, encode, write
from kvorum.model.topology import NamespaceSettings
from kvorum.storage.store import ignore
from kvorum.wire.batches import encode_batch
from kvorum.wire.messages import (
    Compare,
    GossipDelta,
    GossipDigest,
    Inventory,
    Message,
    Ping,
    PingReport,
    PingRequest,
    Pong,
    Write,
)

GOSSIP = (GossipDigest, GossipDelta, Ping, Pong, PingRequest, PingReport)
"""Of no interest here: nodes tell each other that they are there."""
A_PASS_S = 80.0
"""Longer than from one pass to the end of the next."""


class CountingStage(Stage):
    def __init__(self, nodes: int, replicas: int) -> None:
        self.bytes_sent = 0
        self.sent: dict[str, int] = {}
        settings = NamespaceSettings(replicas=replicas, read=1, write=1, timeout_ms=1000)
        super().__init__(nodes, settings)

    def post(self, sender: int, node: int, message: Message) -> None:
        if not isinstance(message, GOSSIP):
            self.bytes_sent += len(encode_batch([message]))
            kind = type(message).__name__
            self.sent[kind] = self.sent.get(kind, 0) + 1
        super().post(sender, node, message)

    def plant(self, node: int, key: bytes, data: bytes) -> None:
        """Write at `node` alone, as if no other replica had been reached."""
        replicator = self.nodes[node]
        assert replicator is not None
        replicator.on_message((node + 1) % len(self.nodes), Write(0, key, data))
        self.settle()

    def counter(self, node: int, name: str) -> int:
        replicator = self.nodes[node]
        assert replicator is not None
        return replicator.counters()[name]

    def reset(self) -> None:
        self.bytes_sent = 0
        self.sent = {}

    def content(self, node: int) -> dict[bytes, bytes]:
        return dict(self.disks[node].scan(b"d", b"e", 1 << 30))

    def assert_equal_owners(self) -> None:
        """Every owner of every key holds the same record of it."""
        replicas = self.topology.namespaces["default"].replicas
        contents = [self.content(node) for node in range(len(self.nodes))]
        for key in set().union(*contents):
            owners = self.placement.owners(
                self.placement.partition(key[1:9]), PlacementRule(replicas)
            )
            assert len({contents[node].get(key) for node in owners}) == 1, key


def place(name: str) -> bytes:
    return storage_key(TOKEN_HASHES["murmur3"](name.encode(), 0), "default", name.encode())


def made(key: bytes, actor: int, value: bytes = b'"v"') -> bytes:
    return encode(key, write(EMPTY, (), Event(actor, 1, 1000), JSON, value))


def test_whatever_differs_is_made_equal_in_the_background() -> None:
    stage = CountingStage(5, 3)
    for i in range(400):
        key = place(f"k{i}")
        owners = stage.placement.owners(stage.placement.partition(key[1:9]), PlacementRule(3))
        stage.plant(owners[i % 3], key, made(key, i))
        if i % 5 == 0:  # siblings: each of two replicas knows another write
            stage.plant(owners[(i + 1) % 3], key, made(key, 1000 + i))
    stage.wait(2 * A_PASS_S)
    stage.assert_equal_owners()
    assert sum(len(stage.content(node)) for node in range(5)) == 3 * 400
    key = place("k0")
    owner = stage.placement.owners(stage.placement.partition(key[1:9]), PlacementRule(3))[0]
    assert len(decode(key, stage.content(owner)[key]).versions) == 2
    stage.reset()
    stage.wait(A_PASS_S)
    assert set(stage.sent) == {"Compare", "Differing"}, "equal replicas compare roots only"


def test_one_differing_key_in_a_million_costs_few_bytes() -> None:
    """One partition is filled as a million keys would fill each of the 256; the others, being
    equal, cost their roots whether they are full or empty.
    """
    stage = CountingStage(2, 2)
    step = (1 << 56) // (1_000_000 // 256)
    for i in range(1_000_000 // 256):
        name = f"user:{i:06}".encode()
        key = storage_key((i * step).to_bytes(8), "default", name)
        data = made(key, 1)
        for node in range(2):
            stage.disks[node].durable[key] = data
    for node in range(2):
        stage.kill(node)
    for node in range(2):
        stage.restart(node)
    stage.wait(A_PASS_S)
    key = storage_key((step * 1000 + 1).to_bytes(8), "default", b"differs")
    stage.plant(0, key, made(key, 2))
    stage.reset()
    stage.wait(A_PASS_S)
    stage.assert_equal_owners()
    assert key in stage.content(1)
    assert stage.sent["Inventory"] == 1
    assert stage.bytes_sent < 20_000, stage.sent


def test_writes_during_the_rebuild_are_counted_once() -> None:
    stage = CountingStage(2, 2)
    for i in range(3000):
        key = place(f"k{i}")
        for node in range(2):
            stage.disks[node].durable[key] = made(key, 1)
    for node in range(2):
        stage.kill(node)
    stage.restart(1)
    stage.settle()
    stage.restart(0)
    for i in range(0, 6000, 70):  # some replace, some are new; behind and ahead of the walk
        key = place(f"k{i}")
        for replicator in stage.nodes:
            assert replicator is not None
            replicator.on_message(1, Write(0, key, made(key, 2)))
        stage.step()
    stage.settle()
    stage.reset()
    stage.wait(A_PASS_S)
    assert stage.sent["Compare"] >= 2
    assert "Inventory" not in stage.sent, "trees of equal replicas differ"


def test_an_empty_replica_is_filled() -> None:
    stage = CountingStage(2, 2)
    for i in range(2000):  # dense, so that a partition's inventory takes several pages
        key = storage_key((i << 40).to_bytes(8), "default", b"%d" % i)
        stage.disks[0].durable[key] = made(key, 1)
    stage.kill(0)
    stage.restart(0)
    stage.wait(10)
    assert len(stage.content(1)) == 2000
    stage.assert_equal_owners()


def test_a_peer_that_is_not_ready_is_asked_again() -> None:
    stage = CountingStage(2, 2)
    key = place("k")
    stage.plant(0, key, made(key, 1))
    stage.holds.add((0, 1))
    stage.wait(20)  # the first pass gets no answer
    stage.holds.clear()
    stage.wait(30)
    stage.assert_equal_owners()


def test_a_peer_that_vanishes_ends_the_exchange() -> None:
    stage = CountingStage(2, 2)
    for i in range(200):
        stage.plant(0, place(f"k{i}"), made(place(f"k{i}"), 1))
    stage.wait(0.5)
    stage.clock.time += 1
    while "Inventory" not in stage.sent:
        if not stage.step():
            stage.wait(0.1)
    stage.cut(0, 1)
    stage.wait(30)
    assert all(r is not None and r.under_way == 0 for r in stage.nodes)
    stage.mend(0, 1)
    stage.wait(10)
    stage.assert_equal_owners()


def test_after_stop_nothing_touches_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = CountingStage(2, 2)
    for i in range(20):
        stage.plant(1, place(f"k{i}"), made(place(f"k{i}"), 1))
    stage.disks[0].held = True
    stage.wait(2)
    assert "Have" in stage.sent
    replicator = stage.nodes[0]
    assert replicator is not None
    replicator.stop()
    stage.nodes[0] = None

    def closed(*_: object) -> None:
        raise AssertionError("the store is closed")

    for method in ("get", "put", "delete", "scan"):
        monkeypatch.setattr(stage.disks[0], method, closed)
    stage.disks[0].held = False
    stage.clock.call_soon(stage.disks[0].sync)
    stage.wait(A_PASS_S)
    assert replicator.under_way == 0


def test_a_damaged_record_is_replaced_by_the_sound_one() -> None:
    stage = CountingStage(2, 2)
    key = place("k")
    for node in range(2):
        stage.disks[node].durable[key] = made(key, 1)
    stage.disks[0].durable[key] = b"damaged!" + made(key, 1)[8:]
    for node in range(2):
        stage.kill(node)
    for node in range(2):
        stage.restart(node)
    stage.wait(A_PASS_S)
    assert stage.content(0)[key] == stage.content(1)[key] == made(key, 1)


def test_a_damaged_tree_is_corrected() -> None:
    stage = CountingStage(2, 2)
    stage.wait(A_PASS_S)
    key = place("k")
    stage.disks[0].put(key, made(key, 1), ignore, None)  # behind the back of n1's tree
    stage.plant(1, key, made(key, 1))
    stage.wait(A_PASS_S)
    assert stage.counter(0, "leaves_corrected") == 1
    stage.reset()
    stage.wait(A_PASS_S)
    assert set(stage.sent) == {"Compare", "Differing"}


def _inventory(**changes: object) -> Inventory:
    whole: dict[str, object] = {
        "op": 1,
        "rule": "3",
        "start": b"d" + bytes(8),
        "end": b"d" + bytes(7) + b"\1",
        "entries": [],
    }
    return Inventory(**(whole | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        Compare(1, "2", 0, [0], bytes(8)),  # no namespace has two replicas
        Compare(1, "3", 9, [0], bytes(8)),
        Compare(1, "3", -1, [0], bytes(8)),
        Compare(1, "3", 0, [256], bytes(8)),
        Compare(1, "3", 0, [-1], bytes(8)),
        Compare(1, "3", 0, [0], bytes(9)),
        Compare(1, "3", 0, [], b""),
        Compare(1, "3", 2, [0] * 513, bytes(8 * 513)),
        _inventory(rule="2"),
        _inventory(end=b"e"),
        _inventory(start=b"h" + bytes(8)),
        _inventory(end=b"d" + bytes(8)),
        _inventory(entries=[(b"d" + bytes(8) + b"default\0b", bytes(7))]),
        _inventory(entries=[(b"d" + b"\xff" * 8 + b"default\0b", bytes(8))]),
        _inventory(entries=[(b"d" + bytes(8) + b"default\0b", bytes(8))] * 2),
    ],
    ids=repr,
)
def test_a_lying_peer_is_refused(message: Message) -> None:
    stage = CountingStage(3, 3)
    replicator = stage.nodes[0]
    assert replicator is not None
    with pytest.raises(ProtocolError):
        replicator.on_message(1, message)


def test_partitions_of_others_are_not_told() -> None:
    stage = CountingStage(4, 1)
    for partition in range(256):
        owner = stage.placement.owners(partition, PlacementRule(1))[0]
        replicator = stage.nodes[owner]
        assert replicator is not None
        with pytest.raises(ProtocolError, match="both own"):
            replicator.on_message((owner + 1) % 4, Compare(1, "1", 0, [partition], bytes(8)))

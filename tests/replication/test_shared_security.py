"""The security catalog reaches every node, durably, and a node that was away hears of it."""

from __future__ import annotations

from typing import Any

from kit.runtime import Pump
from kit.topologies import even_cluster

from kvorum.cluster.clocks import Clocks
from kvorum.cluster.view import ClusterView
from kvorum.model.errors import StorageError
from kvorum.model.permissions import Grant
from kvorum.model.security_catalog import EntryId, SecurityCatalog, first_administrator
from kvorum.model.security_values import Token
from kvorum.operations.operations import Operations
from kvorum.replication.shared_security import SharedSecurity, Spread
from kvorum.wire.security_messages import SecurityDigest, SecurityEntries


def token(name: str, created_ms: int = 1) -> Token:
    return Token(
        id=name, name=name, digest="0" * 64, grants=(Grant(role="reader"),), created_ms=created_ms
    )


class Disk:
    """Holds the last catalog that was written; waits with `done` while it is `slow`."""

    def __init__(self, pump: Pump) -> None:
        self.pump = pump
        self.catalog = SecurityCatalog()
        self.broken = self.slow = False
        self.waiting: list[Any] = []

    def write(self, catalog: SecurityCatalog, written: Any) -> None:
        if self.slow:
            self.waiting.append((catalog, written))
        elif self.broken:
            self.pump.call_soon(written, StorageError("The disk is full."))
        else:
            self.catalog = catalog
            self.pump.call_soon(written, None)


class Cluster:
    def __init__(self, count: int = 3) -> None:
        self.pump = Pump()
        self.links: set[frozenset[int]] = set()
        self.disks = {node: Disk(self.pump) for node in range(count)}
        self.said: list[str] = []
        self.operations: dict[int, Operations] = {}
        self.nodes = {node: self.node(node) for node in self.disks}

    def node(self, node: int) -> SharedSecurity:
        view = ClusterView(even_cluster(len(self.disks), 3), node)
        clocks = Clocks(len(self.disks), self.pump, 1.0)
        self.operations[node] = Operations(node, self.pump, Wire(self, node), clocks)
        shared = SharedSecurity(view, self.operations[node], self.disks[node], self.said.append)
        shared.start()
        return shared

    def link(self, *pair: int) -> None:
        self.links.add(frozenset(pair))
        for node, peer in (pair, pair[::-1]):
            self.nodes[node].on_peer_up(peer)
        self.pump.drain()

    def cut(self, *pair: int) -> None:
        self.links.discard(frozenset(pair))
        for node, peer in (pair, pair[::-1]):
            self.operations[node].abandon(peer)
        self.pump.drain()

    def link_all(self) -> Cluster:
        for node in self.nodes:
            for peer in range(node):
                self.link(peer, node)
        return self

    def put(self, node: int, value: Any) -> list[Any]:
        answers: list[Any] = []
        shared = self.nodes[node]
        shared.change(shared.catalog.putting(value, 1000, node), answers.append)
        self.pump.drain()
        return answers

    def remove(self, node: int, name: str) -> list[Any]:
        answers: list[Any] = []
        shared = self.nodes[node]
        shared.change(shared.catalog.removing("token", name, 1000, node), answers.append)
        self.pump.drain()
        return answers


class Wire:
    def __init__(self, cluster: Cluster, node: int) -> None:
        self.cluster = cluster
        self.local = node

    def send(self, node: int, message: Any) -> None:
        self.cluster.pump.call_soon(self._deliver, node, message)

    def is_up(self, node: int) -> bool:
        return frozenset({self.local, node}) in self.cluster.links

    def _deliver(self, node: int, message: Any) -> None:
        if self.is_up(node):
            shared = self.cluster.nodes[node]
            match message:
                case SecurityDigest():
                    shared.on_digest(self.local, message)
                case SecurityEntries():
                    shared.on_entries(self.local, message)
                case _:
                    self.cluster.operations[node].on_reply(self.local, message)


def test_a_change_is_durable_on_all_linked_nodes_before_the_answer() -> None:
    cluster = Cluster().link_all()
    assert cluster.put(0, token("a")) == [Spread(("n1", "n2", "n3"), ())]
    assert all(disk.catalog.token("a") for disk in cluster.disks.values())


def test_nothing_is_answered_before_it_is_durable_here() -> None:
    cluster = Cluster().link_all()
    cluster.disks[0].slow = True
    assert cluster.put(0, token("a")) == []
    cluster.pump.pass_time(2)
    assert cluster.nodes[1].catalog.token("a") is None


def test_a_node_that_does_not_confirm_is_named_after_a_second() -> None:
    cluster = Cluster().link_all()
    cluster.disks[1].slow = True
    answers = cluster.put(0, token("a"))
    assert answers == []
    cluster.pump.pass_time(1)
    assert answers == [Spread(("n1", "n3"), ("n2",))]


def test_a_node_whose_disk_fails_does_not_confirm_and_says_so_once() -> None:
    cluster = Cluster().link_all()
    cluster.disks[1].broken = True
    answers = [cluster.put(0, token(name)) for name in "ab"]
    cluster.pump.pass_time(1)
    assert [answer[0].not_yet for answer in answers] == [("n2",), ("n2",)]
    assert len(cluster.said) == 1
    cluster.disks[1].broken = False
    cluster.pump.pass_time(20)
    assert cluster.disks[1].catalog == cluster.nodes[0].catalog


def test_a_change_that_is_not_durable_here_is_refused_and_does_not_count() -> None:
    cluster = Cluster().link_all()
    cluster.disks[0].broken = True
    (error,) = cluster.put(0, token("a"))
    assert isinstance(error, StorageError)
    assert all(node.catalog.token("a") is None for node in cluster.nodes.values())


def test_a_node_that_was_away_hears_of_a_revocation_when_its_link_opens() -> None:
    cluster = Cluster().link_all()
    cluster.put(0, token("a"))
    cluster.cut(0, 2)
    cluster.cut(1, 2)
    heard: list[list[EntryId]] = []
    cluster.nodes[2].subscribe(lambda _catalog, changed: heard.append(list(changed)))
    assert cluster.remove(1, "a") == [Spread(("n1", "n2"), ("n3",))]
    cluster.link(0, 2)
    assert cluster.nodes[2].catalog.token("a") is None
    assert heard == [[EntryId("token", "a")]]


def test_two_administrators_who_change_the_same_come_to_one_catalog() -> None:
    cluster = Cluster()
    cluster.put(0, token("a", created_ms=1))
    cluster.put(1, token("a", created_ms=2))
    cluster.put(2, token("b"))
    cluster.link_all()
    assert len({node.catalog.digest for node in cluster.nodes.values()}) == 1
    assert len(cluster.nodes[0].catalog.entries) == 2


def test_a_message_that_was_lost_is_made_up_for_by_the_next_digest() -> None:
    cluster = Cluster().link_all()
    cluster.links.clear()
    cluster.put(0, token("a"))
    cluster.pump.pass_time(1)
    cluster.links.update(frozenset({0, node}) for node in (1, 2))
    assert cluster.nodes[1].catalog.token("a") is None
    cluster.pump.pass_time(20)
    assert all(disk.catalog.token("a") for disk in cluster.disks.values())


def test_the_first_administrator_is_the_same_on_every_node() -> None:
    cluster = Cluster()
    for node in cluster.nodes.values():
        node.enter_first(first_administrator("0" * 12, "1" * 64))
    cluster.link_all()
    assert all(disk.catalog.has_administrator for disk in cluster.disks.values())
    assert len({node.catalog.digest for node in cluster.nodes.values()}) == 1

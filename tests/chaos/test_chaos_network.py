"""Five nodes with addresses of their own on a switched network, some of whose packets are lost.

           switch: a bridge, and the clients' address
            │      │      │      │      │
            n1     n2     n3     n4     n5       each in a network namespace of its own

Packets are dropped by the filter of the node they are for. So a road that is closed one way
also loses the acknowledgements of what goes the other way, as on a real network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from chaos_load import Load
from chaos_namespaces import Namespace, own_namespace, requires_namespaces, requires_programs
from chaos_nodes import ServedCluster
from chaos_verdict import verify

from kvorum.model.topology import NodeSpec, Topology

pytestmark = [
    pytest.mark.chaos,
    requires_namespaces,
    requires_programs("ip", "nft"),
]

NETWORK: Final = "10.77.0"
NODES: Final = 5


class Switched(NamedTuple):
    cluster: ServedCluster
    places: Mapping[str, Namespace]

    def drop(self, sender: str, recipient: str) -> None:
        """Lose all packets from one node to another."""
        nodes = self.cluster.topology.nodes
        address = nodes[self.cluster.topology.number_of(sender)].peer.partition(":")[0]
        self.places[recipient].run("nft", "add rule inet chaos input ip saddr", address, "drop")

    def heal(self) -> None:
        for place in self.places.values():
            place.run("nft", "flush chain inet chaos input")


@pytest.fixture
def switched(tmp_path: Path) -> Iterator[Switched]:
    nodes = tuple(
        NodeSpec(name=f"n{n}", http=f"{NETWORK}.{n}:7400", peer=f"{NETWORK}.{n}:7500")
        for n in range(1, NODES + 1)
    )
    with ExitStack() as stack:
        switch = stack.enter_context(own_namespace())
        switch.run("ip", "link", "add", "switch", "type", "bridge")
        switch.run("ip", "address", "add", f"{NETWORK}.254/24", "dev", "switch")
        switch.run("ip", "link", "set", "switch", "up")
        places = {node.name: stack.enter_context(own_namespace()) for node in nodes}
        for number, (name, place) in enumerate(places.items(), start=1):
            plug_in(switch, name, place, f"{NETWORK}.{number}/24")
        stack.enter_context(switch.joined())
        within = {name: place.enter for name, place in places.items()}
        cluster = ServedCluster(
            tmp_path / "cluster", Topology(cluster="chaos", nodes=nodes), within, ("--insecure",)
        )
        yield Switched(stack.enter_context(cluster), places)


def plug_in(switch: Namespace, name: str, place: Namespace, address: str) -> None:
    cable = ("ip", "link", "add", name, "type", "veth", "peer", "eth0", "netns", str(place.pid))
    switch.run(*cable)
    switch.run("ip", "link", "set", name, "master", "switch", "up")
    place.run("ip", "address", "add", address, "dev", "eth0")
    place.run("ip", "link", "set", "eth0", "up")
    place.run("ip", "link", "set", "lo", "up")
    place.run("nft", "add table inet chaos")
    place.run("nft", "add chain inet chaos input { type filter hook input priority 0; }")


def test_packets_are_lost_one_way(switched: Switched) -> None:
    cluster = switched.cluster
    n1, n2, *_ = cluster.nodes
    with Load(cluster.url) as load:
        load.await_acknowledged(200)
        switched.drop("n1", "n2")
        switched.drop("n3", "n4")
        cluster.await_seen_down(n1, by=n2)
        load.await_acknowledged(200)
        switched.heal()
        load.await_acknowledged(200)
    verify(cluster, load.ledger)


def test_two_are_cut_off_from_three_and_one_of_them_dies(switched: Switched) -> None:
    cluster = switched.cluster
    minority, majority = cluster.nodes[:2], cluster.nodes[2:]
    with Load(cluster.url) as load:
        load.await_acknowledged(200)
        for one in minority:
            for other in majority:
                switched.drop(one.spec.name, other.spec.name)
                switched.drop(other.spec.name, one.spec.name)
        for node in majority:
            cluster.await_seen_down(minority[0], by=node)
        load.await_acknowledged(200)
        minority[0].kill()
        switched.heal()
        minority[0].start()
        load.await_acknowledged(200)
    verify(cluster, load.ledger)

"""Roads between nodes turn bad, one way or both: the cluster goes on, heals, and keeps all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from chaos_load import Load
from chaos_namespaces import own_namespace, requires_namespaces, requires_programs
from chaos_nodes import ServedCluster, ServedNode
from chaos_proxy import Proxy
from chaos_verdict import verify
from kit.waiting import eventually

from kvorum import Client, connect
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.model.errors import NotFound

SIBLINGS_OF_EACH = 8
SIBLING_CHARS = 1_000_000

pytestmark = [pytest.mark.chaos, requires_namespaces, requires_programs("ip")]


class Proxied(NamedTuple):
    cluster: ServedCluster
    proxy: Proxy


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Proxied]:
    topology = local_topology(3, free_port(3))
    with ExitStack() as stack:
        places = {node.name: stack.enter_context(own_namespace()) for node in topology.nodes}
        for place in places.values():
            place.run("ip", "link", "set", "lo", "up")
        proxy = Proxy(topology, places)
        stack.enter_context(proxy.running())
        within = {name: place.enter for name, place in places.items()}
        cluster = ServedCluster(tmp_path / "cluster", topology, within)
        yield Proxied(stack.enter_context(cluster), proxy)


def test_roads_are_closed_one_way_for_a_while(proxied: Proxied) -> None:
    """Too short for anyone to be found down: what was under way waits, and then arrives."""
    cluster, proxy = proxied
    with Load(cluster.url) as load:
        for road in (("n1", "n2"), ("n2", "n3"), ("n3", "n1")):
            load.await_acknowledged(50)
            proxy.block(*road)
            load.await_acknowledged(50)
            proxy.unblock(*road)
        load.await_acknowledged(100)
    verify(cluster, load.ledger)


def test_one_node_is_cut_off_from_two(proxied: Proxied) -> None:
    cluster, proxy = proxied
    alone, *others = cluster.nodes
    out = [(alone.spec.name, other.spec.name) for other in others]
    roads = [*out, *((recipient, sender) for sender, recipient in out)]
    with Load(cluster.url) as load:
        load.await_acknowledged(100)
        for road in roads:
            proxy.block(*road)
        for other in others:
            cluster.await_seen_down(alone, by=other)
        load.await_acknowledged(200)
        for road in roads:
            proxy.unblock(*road)
        load.await_acknowledged(200)
    verify(cluster, load.ledger)


def test_connections_break_again_and_again(proxied: Proxied) -> None:
    cluster, proxy = proxied
    with Load(cluster.url) as load:
        for _ in range(3):
            for one, other in (("n1", "n2"), ("n2", "n3"), ("n3", "n1")):
                load.await_acknowledged(50)
                proxy.sever(one, other)
        load.await_acknowledged(100)
    verify(cluster, load.ledger)


def test_roads_are_slow_and_then_a_disk_is_lost(proxied: Proxied) -> None:
    """What was acknowledged by then is elsewhere too, although it takes long to get there."""
    cluster, proxy = proxied
    n1, *others = cluster.nodes
    with Load(cluster.url, timeout_s=30) as load:
        load.await_acknowledged(100)
        for other in others:
            proxy.slow_down("n1", other.spec.name, 0.1, 0.1)
            proxy.slow_down(other.spec.name, "n1", 0.1, 0.1)
        load.await_acknowledged(100)
        assert load.ledger.unverified == load.ledger.refused == 0
        n1.kill()
        for other in others:
            proxy.sever("n1", other.spec.name)  # and lose what was on the way
    shutil.rmtree(n1.data_dir)
    n1.start()
    verify(cluster, load.ledger)


def test_a_value_is_put_back_through_a_node_that_missed_its_delete(proxied: Proxied) -> None:
    """The node still holds that very value: it must not take the write for a repetition."""
    cluster, proxy = proxied
    n1, _, n3 = cluster.nodes
    with connect(n1.url) as here, connect(n3.url) as there:
        keys = [key for key in map("k{}".format, range(60)) if _first_owner(here, key) == "n1"][:5]
        for key in keys:
            here.set(key, "x")
            assert there.get(key, r=3) == "x"
        for road in (("n1", "n3"), ("n3", "n1")):
            proxy.block(*road)
        cluster.await_seen_down(n3, by=n1)
        cluster.await_seen_down(n1, by=n3)
        for key in keys:
            here.delete(key)
            with pytest.raises(NotFound) as gone:
                here.get_entry(key)
            there.set(key, "x", version=gone.value.details["valueVersion"])
        for road in (("n1", "n3"), ("n3", "n1")):
            proxy.unblock(*road)
        cluster.await_healed()
        assert len(keys) == 5
        assert [here.get(key, r=3) for key in keys] == ["x"] * 5


def _first_owner(client: Client, key: str) -> str:
    name: str = client.locate(key)["replicas"][0]["node"]
    return name


HEALED_S: Final = 5.0
BUSY_S: Final = 5.0
"""What a busy machine may add to it."""


def test_once_cuts_have_healed_nobody_is_suspected_for_long_however_often_it_was(
    proxied: Proxied,
) -> None:
    cluster, proxy = proxied
    cluster.await_healed()
    alone, *others = cluster.nodes
    there = [(alone.spec.name, other.spec.name) for other in others]
    back = [(recipient, sender) for sender, recipient in there]
    for roads in (there + back, there, back, *[there + back] * 4):
        for road in roads:
            proxy.block(*road)
        # Whoever hears nothing any more finds it out.
        observer, seen = (alone, others[0]) if roads == back else (others[0], alone)
        cluster.await_seen_down(seen, by=observer)
        for road in roads:
            proxy.unblock(*road)
        began = time.monotonic()
        cluster.await_healed()
        assert time.monotonic() - began < HEALED_S + BUSY_S


def test_siblings_made_on_three_sides_of_a_cut_come_together(proxied: Proxied) -> None:
    """Each side takes as much as a record may have; together they fit no frame of a link."""
    cluster, proxy = proxied
    names = [node.spec.name for node in cluster.nodes]
    roads = [(one, other) for one in names for other in names if one != other]
    with connect(cluster.url) as client:
        seen = client.set("key", "before the cut", w=len(names)).version
    assert seen is not None
    for road in roads:
        proxy.block(*road)
    for node, other in zip(cluster.nodes, [*cluster.nodes[1:], cluster.nodes[0]], strict=True):
        cluster.await_seen_down(other, by=node)
    written = {
        write_alone(node, f"{node.spec.name}-{number}-", seen)
        for node in cluster.nodes
        for number in range(SIBLINGS_OF_EACH)
    }
    for road in roads:
        proxy.unblock(*road)
    cluster.await_healed()
    eventually(
        lambda: all(siblings_at(node) == written for node in cluster.nodes),
        "every node to serve all siblings by itself",
    )
    with connect(cluster.nodes[0].url) as client:
        entry = client.get_entry("key", r=len(names))
        client.set("key", "resolved", version=entry.version, w=len(names))
    for node in cluster.nodes:
        with connect(node.url) as client:
            assert client.get("key", r=1) == "resolved"
        assert " ERROR " not in node.log


def write_alone(node: ServedNode, prefix: str, seen: str) -> str:
    """Store a value that only `node` knows of, beside all others that are made from `seen`."""
    value = prefix + "x" * (SIBLING_CHARS - len(prefix))
    with connect(node.url) as client:
        client.set("key", value, version=seen, w=1)
    return prefix


def siblings_at(node: ServedNode) -> set[str]:
    with connect(node.url) as client:
        entry = client.get_entry("key", r=1)
    return {
        value[: value.rindex("-") + 1]
        for value in (entry.value, *(s.value for s in entry.siblings))
    }

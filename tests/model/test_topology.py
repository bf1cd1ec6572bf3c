from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.topologies import cluster, even_cluster, node, topologies
from rich.pretty import pretty_repr

from kvorum.model.errors import ConfigError
from kvorum.model.topology import (
    NUMBER_MAX,
    UNNUMBERED,
    NamespaceSettings,
    NodeSpec,
    Topology,
)


def refusal(**fields: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        cluster(**{"nodes": [node(0), node(1), node(2)], **fields})
    return caught.value.message


# What follows from what


@pytest.mark.parametrize(
    ("nodes", "replicas", "quorum"), [(1, 1, 1), (2, 2, 2), (3, 3, 2), (9, 3, 2)]
)
def test_the_default_namespace_is_always_there(nodes: int, replicas: int, quorum: int) -> None:
    settings = cluster([node(i) for i in range(nodes)]).namespaces["default"]
    assert settings == NamespaceSettings(replicas=replicas, read=quorum, write=quorum)
    assert (settings.durability, settings.timeout_ms) == ("fsync", 2000)


def test_a_default_namespace_that_is_given_stays() -> None:
    given_settings = NamespaceSettings(replicas=2, read=1, write=2, durability="os")
    topology = cluster([node(0), node(1)], namespaces={"default": given_settings})
    assert topology.namespaces == {"default": given_settings}


@given(st.integers(1, 1000))
def test_majorities_overlap_and_are_no_larger_than_they_need_be(replicas: int) -> None:
    settings = NamespaceSettings.majority(replicas)
    assert settings.read == settings.write
    assert settings.read + settings.write > replicas
    assert 2 * (settings.read - 1) <= replicas


def test_a_node_that_names_no_host_is_a_host_of_its_own() -> None:
    assert node(0, name="a").host == "a"
    assert node(0, name="a", host="box").host == "box"


def test_one_node_alone() -> None:
    topology = Topology.single(name="solo", http="0.0.0.0:80")
    assert [spec.name for spec in topology.nodes] == ["solo"]
    assert topology.namespaces["default"] == NamespaceSettings(replicas=1, read=1, write=1)


@pytest.mark.parametrize("bits", [0, 1, 8, 16])
def test_partition_bits(bits: int) -> None:
    assert even_cluster(1, 1, partitions=1 << bits).partition_bits == bits


# Nodes and their numbers


@given(st.permutations(range(12)))
def test_nodes_are_filed_by_name_whatever_order_they_came_in(order: list[int]) -> None:
    topology = cluster([node(i) for i in order])
    assert [spec.name for spec in topology.nodes] == [f"n{i}" for i in range(1, 13)]
    assert [topology.number_of(f"n{i}") for i in range(1, 13)] == list(range(12))


def test_a_node_keeps_its_number_whatever_others_join_or_leave() -> None:
    topology = cluster([node(0, number=7), node(1, number=3), node(2, number=12)])
    assert topology.numbers == (3, 7, 12)
    assert [topology.number_of(name) for name in ("n1", "n2", "n3")] == [7, 3, 12]
    assert topology.node(12).name == "n3"
    rest = cluster(topology.nodes[1:])
    assert [(spec.number, spec.name) for spec in rest.nodes] == [(7, "n1"), (12, "n3")]


def test_an_unknown_number_is_refused_with_the_numbers_there_are() -> None:
    with pytest.raises(ConfigError, match="no node number 1; its numbers are 0, 5"):
        cluster([node(0, number=5), node(1, number=0)]).node(1)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((4, 4), "Node 'n1' has the number 4 already; give 'n2' another one"),
        ((0, UNNUMBERED), "node 'n2': it has no number and other nodes have one"),
        ((0, -2), "node 'n2': number: -2 is not between 0 and 2147483647"),
        ((0, NUMBER_MAX + 1), f"node 'n2': number: {NUMBER_MAX + 1} is not between 0 and"),
    ],
)
def test_numbers_are_for_all_nodes_or_none_and_differ(
    numbers: tuple[int, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        cluster([node(i, number=number) for i, number in enumerate(numbers)])


def test_names_that_differ_in_leading_zeros_have_one_order() -> None:
    names = ["n1", "n01", "n001"]
    one, other = (
        cluster([node(i, name=n) for i, n in enumerate(order)]) for order in (names, names[::-1])
    )
    assert [spec.name for spec in one.nodes] == [spec.name for spec in other.nodes]


def test_an_unknown_node_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no node named 'n9'; its nodes are n1, n2"):
        even_cluster(2, 2).number_of("n9")


# The fingerprint


@given(topologies(), st.randoms())
def test_the_fingerprint_ignores_order_secret_http_and_namespaces(
    topology: Topology, rng: Any
) -> None:
    nodes = list(topology.nodes)
    rng.shuffle(nodes)
    nodes[0] = msgspec.structs.replace(nodes[0], http="elsewhere:9")
    same = msgspec.structs.replace(
        topology, nodes=tuple(nodes), namespaces={}, secret=b"another secret !"
    )
    assert same.fingerprint() == topology.fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"cluster": "other"},
        {"epoch": 2},
        {"partitions": 512},
        {"token_hash": "md5"},
        {"token_seed": 1},
        {"nodes": (node(0), node(1), node(2))},
        {"nodes": (node(0), node(1, name="x"))},
        {"nodes": (node(0), node(1, peer="127.0.0.1:9"))},
        {"nodes": (node(0), node(1, dc="x"))},
        {"nodes": (node(0), node(1, rack="x"))},
        {"nodes": (node(0), node(1, host="x"))},
        {"nodes": (node(0), node(1, weight=2))},
        {"nodes": (node(0, number=1), node(1, number=0))},
    ],
    ids=str,
)
def test_the_fingerprint_shows_whatever_members_must_agree_on(change: dict[str, Any]) -> None:
    base: dict[str, Any] = {"nodes": (node(0), node(1))}
    assert cluster(**base).fingerprint() != cluster(**{**base, **change}).fingerprint()


def test_an_integer_weight_is_the_same_as_a_float() -> None:
    one, other = (cluster([node(0, weight=weight)]) for weight in (2, 2.0))
    assert one.fingerprint() == other.fingerprint()


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    program = (
        "from kvorum.model.topology import *\n"
        "nodes = tuple(NodeSpec(name=n, http=n + ':1', peer=n + ':2') for n in 'dbca')\n"
        "two = NamespaceSettings.majority(2)\n"
        "spaces = {name: two for name in ('x', 'y', 'z')}\n"
        "print(Topology(cluster='c', nodes=nodes, namespaces=spaces).fingerprint())\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(printed) == 1
    assert len(printed.pop().strip()) == 16


# The secret


def test_a_derived_secret_follows_from_the_clusters_name() -> None:
    a, b = (cluster([node(0)], cluster=name) for name in ("a", "b"))
    assert a.secret == cluster([node(1)], cluster="a").secret
    assert a.secret != b.secret
    assert len(a.secret) >= 16


@pytest.mark.parametrize("render", [repr, str, pretty_repr, lambda t: t.fingerprint()])
def test_the_secret_is_never_shown(render: Any) -> None:
    topology = cluster([node(0)], secret=b"do not show this")
    shown = render(topology)
    assert "do not show this" not in shown
    assert "secret=" not in shown


# What is refused


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cluster": ""}, "cluster: '' is no name"),
        ({"cluster": "a b"}, "cluster: 'a b' is no name"),
        ({"cluster": "x" * 65}, "cluster: 'xxx"),
        ({"epoch": 0}, "epoch: 0 is not between 1 and"),
        ({"partitions": 0}, "partitions: 0 is not between 1 and 65536"),
        ({"partitions": 1 << 17}, "partitions: 131072 is not between 1 and 65536"),
        (
            {"partitions": 300},
            "partitions: 300 is no power of two; the nearest are 256 and 512",
        ),
        ({"token_hash": "sha1"}, "token_hash: 'sha1' is not one of murmur3, md5"),
        ({"token_seed": -1}, "token_seed: -1 is not between 0 and 4294967295"),
        ({"token_seed": 1 << 32}, "token_seed: 4294967296 is not between"),
        ({"token_seed": 1, "token_hash": "md5"}, "token_seed: md5 takes no seed"),
        ({"secret": b"short"}, "secret: 5 bytes are too few"),
        ({"secret_file": "x"}, "secret_file: The secret in the file 'x' is not given"),
        ({"secret_file": "", "secret": b"x" * 16}, "secret_file: The secret in the file ''"),
        ({"nodes": []}, "1 to 1000 nodes, and this one has 0"),
        ({"nodes": [node(i) for i in range(1001)]}, "1 to 1000 nodes, and this one has 1001"),
        ({"nodes": [node(0, name="../x")]}, "node '../x': name: '../x' is no name"),
        ({"nodes": [node(0, dc="a b")]}, "node 'n1': dc: 'a b' is no name"),
        ({"nodes": [node(0, rack="")]}, "node 'n1': rack: '' is no name"),
        ({"nodes": [node(0, host="a/b")]}, "node 'n1': host: 'a/b' is no name"),
        ({"nodes": [node(0), node(1, name="n1")]}, "node 'n1': Two nodes have this name"),
        ({"nodes": [node(0, weight=0)]}, "node 'n1': weight: 0 is not between 0.001 and 1000"),
        ({"nodes": [node(0, weight=-1)]}, "is not between 0.001 and 1000"),
        ({"nodes": [node(0, weight=1001)]}, "is not between 0.001 and 1000"),
        ({"nodes": [node(0, weight=float("nan"))]}, "weight: nan is not between 0.001 and 1000"),
        ({"nodes": [node(0, http="x")]}, "node 'n1': http: 'x' is no address"),
        ({"nodes": [node(0, peer="x:0")]}, "node 'n1': peer: 'x:0' is no address"),
        ({"nodes": [node(0), node(1, peer="")]}, "node 'n2': peer: '' is no address"),
        ({"nodes": [node(0), node(1, peer="0.0.0.0:1")]}, "Other nodes cannot reach '0.0.0.0:1'"),
        (
            {"nodes": [node(0, http="a:1"), node(1, peer="A:1")]},
            "node 'n2': peer: The address 'A:1' is also that of node 'n1': http",
        ),
        ({"nodes": [node(0, http="a:1", peer="a:1")]}, "The address 'a:1' is also that of"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_with_its_field(fields: dict[str, Any], said: str) -> None:
    assert said in refusal(**fields)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("a b", {}, "namespace 'a b': 'a b' is no name"),
        (
            "x",
            {"replicas": 4},
            "namespace 'x': replicas: 4 replicas need as many nodes, and the cluster has 3",
        ),
        ("x", {"replicas": 0}, "namespace 'x': replicas: 0 is not between 1 and 3"),
        ("x", {"read": 0}, "namespace 'x': read: 0 is not between 1 and 3"),
        ("x", {"read": 4}, "namespace 'x': read: 4 is not between 1 and 3"),
        ("x", {"replicas": 2, "write": 3}, "namespace 'x': write: 3 is not between 1 and 2"),
        (
            "x",
            {"durability": "never"},
            "namespace 'x': durability: 'never' is not one of fsync, os, none",
        ),
        ("x", {"timeout_ms": 0}, "namespace 'x': timeout_ms: 0 is not between 1 and 600000"),
        ("x", {"timeout_ms": 600_001}, "namespace 'x': timeout_ms: 600001 is not between"),
        ("x", {"ttl": -1}, "namespace 'x': ttl: -1 is not between 0 and 3153600000"),
        ("x", {"encryption": "yes"}, "namespace 'x': encryption: 'yes' is not one of on, off"),
        ("x", {"compression": "lz4"}, "namespace 'x': compression: 'lz4' is not one of zstd, off"),
        (
            "x",
            {"compression_level": 10},
            "namespace 'x': compression_level: 10 is not between 1 and 9",
        ),
        (
            "x",
            {"eviction": "fifo"},
            "namespace 'x': eviction: 'fifo' is not one of lru, lfu, tinylfu",
        ),
        ("x", {"durability": "none"}, "namespace 'x': max_memory: It is missing, and entries"),
        (
            "x",
            {"max_memory": 1 << 20},
            "namespace 'x': max_memory: It bounds only entries kept in memory",
        ),
    ],
)
def test_wrong_namespaces_are_named(name: str, change: dict[str, Any], said: str) -> None:
    settings = NamespaceSettings(**{"replicas": 3, "read": 2, "write": 2, **change})
    assert said in refusal(namespaces={name: settings})


def test_a_topology_cannot_be_changed_after_its_checks() -> None:
    topology = even_cluster(2, 2)
    with pytest.raises(AttributeError):
        topology.epoch = 2  # type: ignore[misc]
    with pytest.raises(ConfigError, match="epoch"):
        msgspec.structs.replace(topology, epoch=0)
    assert isinstance(topology.nodes[0], NodeSpec)

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from kit.topologies import topologies

from kvorum.model.errors import ConfigError
from kvorum.model.topology import NamespaceSettings, NodeSpec, Topology
from kvorum.model.topology_toml import dump_topology, parse_topology, secret_file_in

SECRET = b"0123456789abcdef"
ALONE = (NodeSpec(name="n1", http="127.0.0.1:7400"),)

COMPLETE = """
cluster = "demo"
epoch = 4
partitions = 512
token_hash = "murmur3"
token_seed = 7
secret_file = "cluster.secret"

[[nodes]]
name = "n1"
http = "127.0.0.1:7400"
peer = "127.0.0.1:7500"
dc = "dc1"
rack = "r1"
host = "h1"
weight = 1

[[nodes]]
name = "n2"
http = "127.0.0.1:7401"
peer = "[::1]:7501"
weight = 2.5

[namespaces.default]
replicas = 2
read = 1
write = 2
durability = "os"
timeout_ms = 500

[namespaces."with.dot"]
"""

TWO_NODES = """
cluster = "demo"
[[nodes]]
name = "n1"
http = "127.0.0.1:7400"
peer = "127.0.0.1:7500"
[[nodes]]
name = "n2"
http = "127.0.0.1:7401"
peer = "127.0.0.1:7501"
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_topology(text, "demo.toml", SECRET)
    assert caught.value.message.startswith("demo.toml: ")
    return caught.value.message


@given(topologies())
def test_what_is_dumped_parses_back_equal(topology: Topology) -> None:
    assert parse_topology(dump_topology(topology), "dumped", topology.secret) == topology


@pytest.mark.parametrize("path", ['"', "\\", "\x00\t\n\x1f", "\x7f", "\x80é🎉", "a#b = [c]"])
def test_any_path_survives_the_dump(path: str) -> None:
    topology = Topology(cluster="c", nodes=ALONE, secret_file=path, secret=SECRET)
    assert parse_topology(dump_topology(topology), "dumped", SECRET).secret_file == path


@given(topologies())
def test_a_dump_never_holds_the_secret(topology: Topology) -> None:
    changed = msgspec.structs.replace(topology, secret=b"do not show this")
    assert "do not show this" not in dump_topology(changed)


def test_every_field_is_read() -> None:
    assert parse_topology(COMPLETE, "demo.toml", SECRET) == Topology(
        cluster="demo",
        epoch=4,
        partitions=512,
        token_hash="murmur3",
        token_seed=7,
        secret_file="cluster.secret",
        secret=SECRET,
        nodes=(
            NodeSpec(
                name="n1",
                http="127.0.0.1:7400",
                peer="127.0.0.1:7500",
                dc="dc1",
                rack="r1",
                host="h1",
                weight=1.0,
            ),
            NodeSpec(name="n2", http="127.0.0.1:7401", peer="[::1]:7501", weight=2.5),
        ),
        namespaces={
            "default": NamespaceSettings(
                replicas=2, read=1, write=2, durability="os", timeout_ms=500
            ),
            "with.dot": NamespaceSettings(replicas=2, read=2, write=2),
        },
    )


def test_what_is_left_out_has_its_default() -> None:
    topology = parse_topology(TWO_NODES, "demo.toml")
    assert topology == Topology(cluster="demo", nodes=topology.nodes)
    assert topology.namespaces == {"default": NamespaceSettings(replicas=2, read=2, write=2)}
    assert [(n.dc, n.rack, n.host, n.weight) for n in topology.nodes] == [
        ("default", "default", "n1", 1.0),
        ("default", "default", "n2", 1.0),
    ]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("replicas = 1", (1, 1, 1)),
        ("replicas = 2", (2, 2, 2)),
        ("read = 1", (2, 1, 2)),
        ("write = 1", (2, 2, 1)),
    ],
)
def test_quorums_left_out_are_majorities_of_the_replicas(
    table: str, expected: tuple[int, int, int]
) -> None:
    topology = parse_topology(f"{TWO_NODES}\n[namespaces.x]\n{table}", "demo.toml")
    settings = topology.namespaces["x"]
    assert (settings.replicas, settings.read, settings.write) == expected


def test_formatting_and_order_leave_the_fingerprint_alone() -> None:
    rewritten = """
        namespaces."with.dot" = {}
        namespaces.default = {timeout_ms=500,write=2,read=1,replicas=2,durability='os'}
        nodes = [ # inline, and the other way round
          {weight=2.5, peer="[::1]:7501", http="127.0.0.1:7401", name="n2"},
  {weight=1.0,name="n1",host="h1",rack="r1",dc="dc1",peer="127.0.0.1:7500",http="127.0.0.1:7400"},
        ]
        token_seed = 0x7
        partitions = 5_12
        epoch = 4
        cluster = 'demo'
    """
    one = parse_topology(COMPLETE, "a", SECRET)
    other = parse_topology(rewritten, "b")
    assert other.fingerprint() == one.fingerprint()
    assert other.nodes == one.nodes


def test_the_secret_file_is_known_before_it_is_read() -> None:
    assert secret_file_in(COMPLETE, "demo.toml") == "cluster.secret"
    assert secret_file_in(TWO_NODES, "demo.toml") is None


@pytest.mark.parametrize("secret", [None, b""])
def test_a_named_secret_that_was_not_read_is_not_derived_instead(secret: bytes | None) -> None:
    with pytest.raises(ConfigError, match=r"^demo.toml: secret_file: The secret"):
        parse_topology(COMPLETE, "demo.toml", secret)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cluster = ", "Invalid TOML: Invalid value (at end of document"),
        ("x = " + "[" * 100_000, "too many levels deep"),
        ("", "The field 'cluster' is missing. The fields are cluster, nodes, epoch"),
        (TWO_NODES.replace("cluster", "clutser"), "Unknown field 'clutser'"),
        (
            TWO_NODES + "wieght = 2",
            "node 'n2': Unknown field 'wieght'. The fields are name",
        ),
        (
            TWO_NODES + "[namespaces.x]\nreplica = 2",
            "namespace 'x': Unknown field 'replica'. The fields are repl",
        ),
        (
            TWO_NODES + "weight = '2'",
            "node 'n2': weight: it must be a number, not a text in quotes",
        ),
        (TWO_NODES + "weight = true", "weight: it must be a number, not true or false"),
        (
            "partitions = 2.5" + TWO_NODES,
            "partitions: it must be a whole number, not a number that is not",
        ),
        (TWO_NODES.replace('"n2"', "2"), "node 2: name: it must be a text in quotes, not a whole"),
        (
            TWO_NODES + "[namespaces.x]\nread = 'two'",
            "namespace 'x': read: it must be a whole number, not a text in quotes",
        ),
        (
            TWO_NODES + "[namespaces]\nx = 3",
            "namespace 'x': it must be a table, not a whole number",
        ),
        ("nodes = 3\ncluster = 'demo'", "nodes: it must be an array, not a whole number"),
        (TWO_NODES + "weight = inf", "node 'n2': weight: inf is not between 0.001 and 1000"),
        (
            TWO_NODES + "[namespaces.x]\nreplicas = 3",
            "namespace 'x': replicas: 3 replicas need as many nodes",
        ),
        (
            TWO_NODES + "[namespaces.x]\nreplicas = 0",
            "namespace 'x': replicas: 0 is not between 1 and 2",
        ),
        (TWO_NODES + "[namespaces.x]\nread = 0", "namespace 'x': read: 0 is not between 1 and 2"),
        (
            TWO_NODES + "[namespaces.x]\ndurability = 'never'",
            "durability: 'never' is not one of fsync, os",
        ),
        (TWO_NODES + "[namespaces.'a b']", "namespace 'a b': 'a b' is no name"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_with_its_place(text: str, said: str) -> None:
    assert said in refusal(text)


def test_a_dump_is_the_same_in_every_process() -> None:
    program = (
        "import sys; from kvorum.model.topology_toml import *\n"
        "print(dump_topology(parse_topology(sys.stdin.read(), 'stdin', b'x' * 16)))\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=COMPLETE,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(printed) == 1

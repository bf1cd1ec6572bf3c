"""Clients that take all connections there are do not take the files of a node, nor lock it up."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from chaos_nodes import ServedCluster
from kit.waiting import eventually

from kvorum import connect
from kvorum.cli.errors import ExitCode
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.model.address import parse_address

pytestmark = pytest.mark.chaos


def limited(directory: Path, nodes: int, files: int) -> ServedCluster:
    """A cluster whose first node may have so many files open, and not raise that."""
    limit = f'ulimit -n {files}; exec "$@"'
    within = {"n1": ("sh", "-c", limit, "sh")}
    # With little memory, and so small files, it has to make and to open many.
    options = ("--memory", "32MB")
    return ServedCluster(directory, local_topology(nodes, free_port(nodes)), within, options)


@contextmanager
def idle_connections(address: str, number: int) -> Iterator[list[socket.socket]]:
    """Clients that connect and say nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(parse_address(address), 60))
            for _ in range(number)
        ]


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(("files", "idle"), [(1024, 1100), (256, 400)])
def test_idle_clients_take_no_files_from_a_node(tmp_path: Path, files: int, idle: int) -> None:
    with limited(tmp_path / "cluster", 1, files) as cluster:
        (node,) = cluster.nodes
        large = {f"key-{n}": "value" * 20_000 for n in range(50)}
        with idle_connections(node.spec.http, idle) as connections:
            eventually(lambda: is_closed(connections[0]), "the longest idle to be given up")
            with connect(node.url) as client:  # a new client is let in at once
                for _ in range(4):  # files are made and opened
                    client.set_many(large)
                assert client.get_many(large) == large
                clients = client.status()["connections"]
            assert clients["open"] <= clients["max"] < files
            assert clients["given_up"] >= idle - clients["max"]
            assert clients["refused"] == 0
        assert node.running
        assert node.log.count("clients have all") == 1
        assert "Too many open files" not in node.log
        node.stop()


def test_strangers_at_the_peer_port_take_no_files_from_a_node(tmp_path: Path) -> None:
    with limited(tmp_path / "cluster", 3, 256) as cluster:
        node = cluster.nodes[0]
        cluster.await_healed()
        with idle_connections(node.spec.peer, 400), connect(node.url) as client:
            for n in range(50):
                client.set(f"key-{n}", "value" * 20_000)
        cluster.await_healed()
        assert node.running
        assert "Too many open files" not in node.log


def test_too_low_a_limit_is_refused_at_the_start(tmp_path: Path) -> None:
    cluster = limited(tmp_path / "cluster", 1, 100)
    (node,) = cluster.nodes
    node.begin()
    assert node.ended() == ExitCode.CONFIG
    said = node.log.splitlines()[-1]
    assert "The limit of open files is too low to run a node: it is 100" in said
    assert "ulimit -n" in said
    assert not (node.data_dir / "node.json").exists()


def test_the_soft_limit_is_raised_to_the_hard_one(tmp_path: Path) -> None:
    within = {"n1": ("sh", "-c", 'ulimit -Sn 100; exec "$@"', "sh")}
    topology = local_topology(1, free_port(1))
    cluster = ServedCluster(tmp_path / "cluster", topology, within)
    with cluster, connect(cluster.url) as client:
        assert client.status()["connections"]["max"] > 100

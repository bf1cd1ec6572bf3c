"""The ports of a local cluster."""

from __future__ import annotations

import socket

import pytest

from kvorum.devcluster.ports import NODES_MAX, PORT_LAST, check_ports, free_port, local_topology
from kvorum.model.errors import ConfigError
from kvorum.model.topology import NamespaceSettings, NodeSpec


def test_node_i_answers_at_port_plus_i_and_its_peers_a_hundred_above() -> None:
    nodes = local_topology(3, 7400).nodes
    assert [(n.name, n.http, n.peer) for n in nodes] == [
        ("n1", "127.0.0.1:7400", "127.0.0.1:7500"),
        ("n2", "127.0.0.1:7401", "127.0.0.1:7501"),
        ("n3", "127.0.0.1:7402", "127.0.0.1:7502"),
    ]


def test_each_cluster_has_a_name_of_its_own() -> None:
    assert local_topology(3, 7400).cluster != local_topology(3, 7400).cluster


def test_the_largest_cluster_fits_at_the_last_port() -> None:
    assert len(local_topology(NODES_MAX, PORT_LAST).nodes) == NODES_MAX


def test_settings_are_those_of_the_default_namespace() -> None:
    settings = NamespaceSettings(replicas=3, read=1, write=3)
    assert local_topology(3, 7400, settings).namespaces == {"default": settings}


def test_free_ports_pass_and_taken_ones_are_all_named() -> None:
    port = free_port(3)
    topology = local_topology(3, port)
    check_ports(topology.nodes)
    with (
        socket.create_server(("127.0.0.1", port)),
        socket.create_server(("127.0.0.1", port + 102)),
        pytest.raises(ConfigError) as refused,
    ):
        check_ports(topology.nodes)
    assert f"127.0.0.1:{port} (n1)" in refused.value.message
    assert f"127.0.0.1:{port + 102} (n3)" in refused.value.message


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:7400 \(n1\) is refused"):
        check_ports([NodeSpec(name="n1", http="192.0.2.1:7400")])


def test_a_name_of_this_machine_can() -> None:
    check_ports([NodeSpec(name="n1", http=f"localhost:{free_port(1)}")])


def test_a_port_whose_connections_linger_is_free() -> None:
    port = free_port(1)
    with (
        socket.create_server(("127.0.0.1", port)) as server,
        socket.create_connection(("127.0.0.1", port)) as caller,
    ):
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first is left in TIME_WAIT
        assert caller.recv(1) == b""
    check_ports(local_topology(1, port).nodes)

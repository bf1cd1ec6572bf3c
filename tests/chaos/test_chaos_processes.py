"""Nodes are killed and paused while writers write: nothing acknowledged is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from chaos_load import Load
from chaos_nodes import ServedCluster
from chaos_verdict import verify

pytestmark = pytest.mark.chaos


def test_each_node_is_killed_again_and_again(tmp_path: Path) -> None:
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        with Load(cluster.url) as load:
            for _ in range(2):
                for node in cluster.nodes:
                    load.await_acknowledged(100)
                    node.kill()
                    load.await_acknowledged(100)  # the two others go on
                    node.start()
            load.await_acknowledged(100)
        verify(cluster, load.ledger)


def test_a_node_sleeps_and_wakes(tmp_path: Path) -> None:
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        sleeper, *others = cluster.nodes
        with Load(cluster.url) as load:
            load.await_acknowledged(100)
            sleeper.pause()
            # Its sockets stay open, so the others have only its silence to go by.
            for node in others:
                cluster.await_seen_down(sleeper, by=node)
            load.await_acknowledged(200)
            sleeper.resume()
            load.await_acknowledged(200)
        assert sleeper.running
        verify(cluster, load.ledger)


def test_all_nodes_are_killed_at_once(tmp_path: Path) -> None:
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        with Load(cluster.url) as load:
            for _ in range(3):
                load.await_acknowledged(100)
                for node in cluster.nodes:
                    node.send(signal.SIGKILL)
                for node in cluster.nodes:
                    assert node.ended() == -signal.SIGKILL
                cluster.start(*cluster.nodes)
            load.await_acknowledged(100)
        verify(cluster, load.ledger)

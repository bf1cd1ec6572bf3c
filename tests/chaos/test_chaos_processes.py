"""Nodes are killed and paused while writers write: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import pytest
from chaos_load import Load
from chaos_nodes import ServedCluster
from chaos_verdict import verify

from kvorum import aio, connect
from kvorum.client.entry import Entry
from kvorum.model.errors import KvorumError, NotFound, TooManySiblings

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


WRITERS = 30
LARGE = 900_000


def test_a_burst_of_large_siblings_outlives_a_restart(tmp_path: Path) -> None:
    """Each node takes as many as it may; what they merge to is more, and stays of use."""
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        n1, n2, n3 = cluster.nodes
        with connect(cluster.url) as client:
            version = client.set("k", "stale").version
        assert version is not None
        results = asyncio.run(_burst([node.url for node in cluster.nodes], version))
        refused = [result for result in results if isinstance(result, KvorumError)]
        assert all(isinstance(error, TooManySiblings) for error in refused), refused
        taken = len(results) - len(refused)
        assert taken > 8
        for node in cluster.nodes:
            node.kill()
        cluster.start(n1, n2, n3)
        cluster.await_healed()
        for node in cluster.nodes:
            with connect(node.url) as client:
                entry = client.get_entry("k", r=3)
                assert len(entry.siblings) == taken
                assert client.status()["storage"]["quarantine"]["damaged"] == 0
        with connect(n2.url) as client:
            client.set("k", "resolved", version=entry.version)
        with connect(n3.url) as client:
            assert client.get("k", r=3) == "resolved"
            client.delete("k")
        with connect(n1.url) as client, pytest.raises(NotFound):
            client.get_entry("k", r=3)


async def _burst(urls: list[str], version: str) -> list[Entry | BaseException]:
    """Many writers at once, all with one version that is stale for all but the first."""

    async def write(client: aio.AsyncClient, number: int) -> Entry:
        return await client.set("k", f"{number:0{LARGE}}", version=version, timeout=60)

    clients = [aio.connect(url) for url in urls]
    try:
        writes = [write(clients[number % len(urls)], number) for number in range(WRITERS)]
        return await asyncio.gather(*writes, return_exceptions=True)
    finally:
        for client in clients:
            await client.close()


def test_an_older_copy_of_a_data_directory_is_found_out(tmp_path: Path) -> None:
    """It would use the same names for other writes. The node stops, and begins anew."""
    copy = tmp_path / "copy"
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        n1, *_ = cluster.nodes
        with Load(cluster.url) as load:
            load.await_acknowledged(100)
        n1.stop()
        shutil.copytree(n1.data_dir, copy)
        n1.start()
        with Load(cluster.url, load.ledger) as load:
            load.await_acknowledged(300)
        cluster.await_healed()
        n1.stop()
        shutil.rmtree(n1.data_dir)
        shutil.copytree(copy, n1.data_dir)
        n1.begin()
        assert n1.ended() != 0
        assert "older copy" in n1.log
        n1.start()
        with Load(cluster.url, load.ledger) as load:
            load.await_acknowledged(100)
        verify(cluster, load.ledger)

"""A data directory is removed, moved or made anew under a running node: it harms nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos_ledger import Ledger
from chaos_load import Load
from chaos_nodes import ServedCluster
from chaos_verdict import verify

from kvorum import connect
from kvorum.cli.errors import ExitCode
from kvorum.model.errors import KvorumError

pytestmark = pytest.mark.chaos


def move(path: Path) -> None:
    path.rename(path.with_name("moved"))


@contextmanager
def writing_in_vain(url: str) -> Iterator[list[KvorumError]]:
    """Somebody keeps writing to a node that is to end; the list gets what it is told then."""
    told: list[KvorumError] = []
    with connect(url) as client:
        yield told
        while not told:
            try:
                client.set("lost", "value")
            except KvorumError as error:
                told.append(error)


@pytest.mark.parametrize("lose", [shutil.rmtree, move])
def test_a_node_stops_when_its_directory_is_lost(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    with ServedCluster.of(1, tmp_path / "cluster") as cluster:
        (node,) = cluster.nodes
        with connect(node.url) as client:
            client.set_many((f"key-{n}", "value" * 1000) for n in range(100))
        lose(node.data_dir)
        assert node.ended() == ExitCode.UNKNOWN
        said = node.log.splitlines()[-1]
        assert said.startswith(f"error: The data directory {node.data_dir} is no longer the one")
        assert not node.data_dir.exists()


def test_a_node_acknowledges_nothing_once_its_directory_is_lost(tmp_path: Path) -> None:
    with ServedCluster.of(1, tmp_path / "cluster") as cluster:
        (node,) = cluster.nodes
        with connect(node.url) as client:
            client.set("key", "value")
        with writing_in_vain(node.url) as told:
            shutil.rmtree(node.data_dir)
        assert told[0].outcome == "unknown"
        assert node.ended() == ExitCode.UNKNOWN


def test_a_node_in_the_place_of_another_keeps_its_data(tmp_path: Path) -> None:
    """Both run at the same time, on one path; the first has much to file and to compact there."""
    first = ServedCluster.of(1, tmp_path / "first")
    second = ServedCluster.of(1, tmp_path / "second")
    former, latter = first.nodes[0], second.nodes[0]
    latter.data_dir.symlink_to(former.data_dir)
    with first, Load(former.url, Ledger(value_bytes=20_000)) as load:
        load.await_acknowledged(500)
        former.pause()
        shutil.rmtree(former.data_dir)
        former.data_dir.mkdir(mode=0o700)
        with second:
            ledger = Ledger(value_bytes=20_000)
            with Load(latter.url, ledger) as other:
                other.await_acknowledged(300)
                former.resume()
                assert former.ended() == ExitCode.UNKNOWN
                assert "is no longer the one that was opened" in former.log
                other.await_acknowledged(300)
            verify(second, ledger)
            latter.stop()
            latter.start()
            verify(second, ledger)


def test_a_member_whose_directory_was_lost_starts_anew(tmp_path: Path) -> None:
    with ServedCluster.of(3, tmp_path / "cluster") as cluster:
        lost = cluster.nodes[0]
        with Load(cluster.url) as load:
            load.await_acknowledged(200)
            shutil.rmtree(lost.data_dir)
            assert lost.ended() == ExitCode.UNKNOWN
            lost.start()
            load.await_acknowledged(200)
        verify(cluster, load.ledger)

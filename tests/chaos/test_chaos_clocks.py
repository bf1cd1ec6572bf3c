"""One of three nodes has a clock that is days or decades wrong: lifetimes are kept all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from chaos_clock import around, set_ahead
from chaos_nodes import ServedCluster, ServedNode
from kit.waiting import eventually

from kvorum import connect
from kvorum.devcluster.ports import free_port, local_topology

pytestmark = pytest.mark.chaos

DAY_MS: Final = 86_400_000
DAY_S: Final = 86_400
KEYS: Final = [f"of a day {number}" for number in range(50)]


class Clocked(NamedTuple):
    cluster: ServedCluster
    files: dict[str, Path]

    def set_ahead(self, node: ServedNode, ahead_ms: int) -> None:
        set_ahead(self.files[node.spec.name], ahead_ms)


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[Clocked]:
    topology = local_topology(3, free_port(3))
    files = {node.name: tmp_path / f"{node.name}.ahead_ms" for node in topology.nodes}
    for file in files.values():
        set_ahead(file, 0)
    within = {name: around(file) for name, file in files.items()}
    with ExitStack() as stack:
        cluster = ServedCluster(tmp_path / "cluster", topology, within)
        yield Clocked(stack.enter_context(cluster), files)


def status(node: ServedNode) -> dict[str, Any]:
    with connect(node.url) as client:
        return client.status()


def await_state(node: ServedNode, state: str) -> None:
    eventually(
        lambda: status(node)["clock"]["state"] == state, f"{node.spec.name}'s clock to be {state}"
    )


def await_swept(nodes: list[ServedNode], expired: int) -> None:
    """Each of `nodes` has expired so many versions, as it does ten seconds after their end."""
    for node in nodes:
        eventually(
            lambda node=node: status(node)["counters"]["versions_expired"] >= expired,  # type: ignore[misc]
            f"{node.spec.name} to expire {expired} versions",
        )


def verify_seen(cluster: ServedCluster) -> None:
    for node in cluster.nodes:
        with connect(node.url) as client:
            found = client.get_many(KEYS)
            assert sorted(found) == sorted(KEYS), f"{node.spec.name} lacks some"


def test_a_wrong_clock_takes_nothing_away_and_gives_no_lifetimes(clocked: Clocked) -> None:
    cluster = clocked.cluster
    wrong, *others = cluster.nodes
    for node in cluster.nodes:
        await_state(node, "trusted")
    with connect(cluster.url) as client:
        for key in KEYS:
            client.set(key, "value", ttl=DAY_S)
    for round_, ahead_ms in enumerate((2 * DAY_MS, -time.time_ns() // 1_000_000), start=1):
        clocked.set_ahead(wrong, ahead_ms)
        await_state(wrong, "wrong")
        with connect(wrong.url) as client:
            now_ms = time.time_ns() // 1_000_000
            client.set("fleeting", round_, ttl=1)
            for number in range(10):
                client.set(f"given meanwhile {number}", "value", ttl=DAY_S)
                entry = client.get_entry(f"given meanwhile {number}")
                assert entry is not None
                assert entry.expires_at is not None
                assert now_ms <= entry.expires_at - DAY_MS <= now_ms + 60_000
        await_swept(others, round_)
        verify_seen(cluster)
        for node in others:
            name = wrong.spec.name
            (seen,) = [other for other in status(node)["nodes"] if other["name"] == name]
            assert abs(seen["clock_ahead_ms"] - ahead_ms) < 60_000
            assert status(node)["clock"]["state"] == "trusted"
            assert f"clock of {name} is" in node.log
        assert status(wrong)["counters"]["versions_expired"] == 0
        assert "This node's clock is wrong" in wrong.log
    clocked.set_ahead(wrong, 0)
    await_state(wrong, "trusted")
    verify_seen(cluster)

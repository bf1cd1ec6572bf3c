"""The load scripts against a double of kvorum, and against etcd where it is installed."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
import wrk
from etcd import ETCD
from kvorum_up import KVORUM
from preload import preload
from store_double import StoreDouble
from system import NODES, Cluster, System

from kvorum.bench.driver import Limits, drive
from kvorum.bench.workload import Operation
from kvorum.local.ports import free_port
from kvorum.model.address import Address
from kvorum.model.errors import KvorumError

KEYS = 20

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
needs_etcd = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")


def cluster_of(store: StoreDouble) -> Cluster:
    nodes = [Address("127.0.0.1", store.port)] * NODES
    return Cluster(nodes, {"all nodes": nodes})


def read_all(system: System, cluster: Cluster) -> list[bytes]:
    values: list[bytes] = []

    class Reads:
        left = KEYS

        def next(self) -> Operation | None:
            self.left -= 1
            if self.left < 0:
                return None
            return Operation("get", system.get(f"key{self.left:08d}"), self.keep)

        def keep(self, body: bytes) -> bytes | None:
            values.append(system.value_in(body))
            return None

    measured = asyncio.run(drive(cluster.nodes, 3, Reads(), Limits(10.0), lambda _: None))
    assert not measured.errors
    return values


def check_scripts(system: System, cluster: Cluster) -> None:
    """Puts leave values of 100 bytes that differ, and nothing goes wrong."""
    preload(system, cluster, KEYS, 6)
    put = wrk.run(system.put_script, cluster.nodes, 6, KEYS, 1)
    assert put.requests > KEYS
    assert not put.errors
    values = read_all(system, cluster)
    assert {len(value) for value in values} == {100}
    assert len(set(values)) == KEYS
    get = wrk.run(system.get_script, cluster.nodes, 6, KEYS, 1)
    assert get.requests > KEYS
    assert not get.errors
    assert get.latencies.count >= get.requests


@needs_wrk
def test_scripts_for_kvorum(store: StoreDouble) -> None:
    check_scripts(KVORUM, cluster_of(store))
    asked = {seen.path for seen in store.requests if seen.method == "GET"}
    assert asked == {f"/entry/key{number:08d}" for number in range(KEYS)}


@needs_wrk
def test_what_is_no_success_is_an_error(store: StoreDouble) -> None:
    assert wrk.run(KVORUM.get_script, cluster_of(store).nodes, 3, KEYS, 1).errors["status"] > 0


@needs_wrk
@needs_etcd
def test_scripts_for_etcd(tmp_path: Path) -> None:
    with ETCD.start(tmp_path, free_port(NODES)) as cluster:
        check_scripts(ETCD, cluster)
        (leader,) = set(cluster.targets["leader"])
        assert leader in cluster.nodes


def test_preload_ends_at_a_value_that_is_not_the_one_stored(store: StoreDouble) -> None:
    def forgetful(key: str, value: bytes) -> bytes:
        return KVORUM.put(key, value if key != "key00000003" else b"something else")

    system = System(**{**vars(KVORUM), "put": forgetful})
    with pytest.raises(KvorumError, match="unexpected answer"):
        preload(system, cluster_of(store), KEYS, 3)

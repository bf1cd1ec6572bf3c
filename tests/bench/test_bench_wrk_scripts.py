"""The load scripts against a double of kvorum, and against etcd where it is installed."""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from pathlib import Path

import pytest
import wrk
from etcd import ETCD
from kit.http_store import StoreDouble
from kvorum_up import KVORUM
from preload import preload
from system import NODES, Cluster, System, Target, key_name

from kvorum import connect
from kvorum.bench.driver import Limits, drive
from kvorum.bench.workload import Operation
from kvorum.client.url import host_port
from kvorum.devcluster.ports import free_port
from kvorum.model.address import Address
from kvorum.model.errors import KvorumError

KEYS = 20

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
needs_etcd = pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd is not installed")


def cluster_of(store: StoreDouble) -> Cluster:
    nodes = [Address("127.0.0.1", store.port)] * NODES
    return Cluster(nodes, {"all nodes": [Target(node) for node in nodes]})


def forwarded(node: Address) -> int:
    with urllib.request.urlopen(f"http://{host_port(node)}/status") as answer:
        counters = json.load(answer)["counters"]
        assert isinstance(counters, dict)
        return int(counters["forwards"])


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
    targets = next(iter(cluster.targets.values()))
    put = wrk.run(system.scripts["put"], targets, 6, KEYS, 1)
    assert put.requests > KEYS
    assert not put.errors
    values = read_all(system, cluster)
    assert {len(value) for value in values} == {100}
    assert len(set(values)) == KEYS
    get = wrk.run(system.scripts["get"], targets, 6, KEYS, 1)
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
    targets = cluster_of(store).targets["all nodes"]
    assert wrk.run(KVORUM.scripts["get"], targets, 3, KEYS, 1).errors["status"] > 0


@needs_wrk
def test_a_target_is_asked_for_its_keys_only(store: StoreDouble) -> None:
    wanted = {"key00000003", "key00000017"}
    server = Address("127.0.0.1", store.port)
    targets = [Target(server, wanted.__contains__), Target(server, {"key00000005"}.__contains__)]
    wrk.run(KVORUM.scripts["get"], targets, 2, KEYS, 1)
    assert {seen.path for seen in store.requests} == {
        f"/entry/{key}" for key in (*wanted, "key00000005")
    }


def test_the_first_owners_of_kvorum_share_all_keys(tmp_path: Path) -> None:
    with KVORUM.start(tmp_path, free_port(NODES)) as cluster:
        owners = cluster.targets["first owners"]
        for key in map(key_name, range(KEYS)):
            (server,) = (target.server for target in owners if target.is_asked_for(key))
            with connect(f"kvorum://{host_port(server)}") as store:
                store.set(key, 1)
        forwards = [forwarded(node) for node in cluster.nodes]
    assert forwards == [0, 0, 0]


@needs_wrk
@needs_etcd
def test_scripts_for_etcd(tmp_path: Path) -> None:
    with ETCD.start(tmp_path, free_port(NODES)) as cluster:
        check_scripts(ETCD, cluster)
        (leader,) = {target.server for target in cluster.targets["leader"]}
        assert leader in cluster.nodes


def test_preload_ends_at_a_value_that_is_not_the_one_stored(store: StoreDouble) -> None:
    def forgetful(key: str, value: bytes) -> bytes:
        return KVORUM.put(key, value if key != "key00000003" else b"something else")

    system = System(**{**vars(KVORUM), "put": forgetful})
    with pytest.raises(KvorumError, match="unexpected answer"):
        preload(system, cluster_of(store), KEYS, 3)

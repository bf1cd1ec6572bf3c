from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from bench_plans import make_plan

from kvorum.bench.plan import Plan
from kvorum.bench.workload import WORKLOADS, Load, Operation, Workload


def key_read(operation: Operation) -> str:
    target = operation.request.split(b" ")[1].decode()
    return target.removeprefix("/entry/")


def put_body(request: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.partition(b"\r\n\r\n")[2])
    return body


def operations(plan: Plan, count: int, index: int = 0) -> list[Operation]:
    workload = Workload(plan, index)
    return [workload.next() for _ in range(count)]


@pytest.mark.parametrize("name", WORKLOADS)
def test_operations_come_in_the_shares_of_the_mix(name: str) -> None:
    plan = make_plan(workload=name, distribution=WORKLOADS[name].distribution)
    counts = Counter(operation.kind for operation in operations(plan, 5000))
    assert set(counts) == set(WORKLOADS[name].shares)
    for kind, share in WORKLOADS[name].shares.items():
        assert counts[kind] / 5000 == pytest.approx(share, abs=0.03)


def test_the_shares_of_every_mix_add_up() -> None:
    assert all(sum(mix.shares.values()) == pytest.approx(1) for mix in WORKLOADS.values())


def test_load_stores_every_key_once() -> None:
    load = Load(make_plan(keys=50))
    keys = [put_body(operation.request)["key"] for operation in iter(load.next, None)]
    assert keys == [f"key{number:08d}" for number in range(50)]
    assert load.next() is None


def test_the_plan_decides_the_operations() -> None:
    def requests(seed: int, index: int) -> list[bytes]:
        return [o.request for o in operations(make_plan(seed=seed, processes=2), 100, index)]

    assert requests(1, 0) == requests(1, 0)
    assert requests(1, 0) != requests(2, 0)
    assert requests(1, 0) != requests(1, 1)


def test_reads_and_updates_ask_for_loaded_keys_only() -> None:
    loaded = {f"key{number:08d}" for number in range(10)}
    for operation in operations(make_plan(workload="a", keys=10), 500):
        if operation.kind == "read":
            assert key_read(operation) in loaded
        else:
            assert put_body(operation.request)["key"] in loaded


def test_an_inserted_key_is_read_only_after_its_answer() -> None:
    workload = Workload(make_plan(workload="d", distribution="latest", keys=10), 0)
    unanswered: dict[str, Operation] = {}
    read: set[str] = set()
    while len(unanswered) < 3:
        operation = workload.next()
        if operation.kind == "insert":
            unanswered[put_body(operation.request)["key"]] = operation
        else:
            read.add(key_read(operation))
    assert not read & set(unanswered)
    *_, last = unanswered
    follow = unanswered[last].follow
    assert follow is not None
    assert follow(b"{}") is None
    later = [workload.next() for _ in range(100)]
    read = {key_read(operation) for operation in later if operation.kind == "read"}
    assert read & set(unanswered) == {last}


def test_processes_insert_different_keys() -> None:
    plan = make_plan(workload="d", distribution="latest", keys=10, processes=3)
    inserted = [
        put_body(operation.request)["key"]
        for index in range(3)
        for operation in operations(plan, 200, index)
        if operation.kind == "insert"
    ]
    assert len(set(inserted)) == len(inserted) > 0


def test_read_modify_write_puts_back_under_the_version_it_read() -> None:
    found = operations(make_plan(workload="f"), 20)
    operation = next(o for o in found if o.kind == "read-modify-write")
    assert operation.follow is not None
    request = operation.follow(b'{"value":"old","metadata":{"valueVersion":"v7"}}')
    assert request is not None
    body = put_body(request)
    assert body["key"] == key_read(operation)
    assert body["metadata"] == {"valueVersion": "v7"}
    assert len(body["value"]) == 100

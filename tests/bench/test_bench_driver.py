"""The driver against a server that fails as it is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_plans import plan_for
from kit.certificates import TestAuthority, server_context
from kit.http_store import (
    Fault,
    StoreDouble,
    answer,
    hang_up,
    keep_silent,
    problem,
    say,
    store_double,
)

from kvorum.bench import connection
from kvorum.bench.driver import Limits, drive
from kvorum.bench.measurement import Measurement
from kvorum.bench.phases import load, run
from kvorum.bench.plan import Plan
from kvorum.client.security import Security
from kvorum.model.errors import ConnectionFailed


def load_all(plan: Plan) -> Measurement:
    return asyncio.run(load(plan, lambda _: None))


def run_share(plan: Plan) -> Measurement:
    return asyncio.run(run(plan, plan.share(0), lambda _: None))


def test_load_stores_every_key(store: StoreDouble) -> None:
    loaded = load_all(plan_for(store.port, keys=30))
    assert loaded.success_count == 30
    assert loaded.error_count == 0
    assert loaded.elapsed_s > 0
    assert set(store.values()) == {f"key{number:08d}" for number in range(30)}


@pytest.mark.parametrize("workload", ["a", "b", "c", "d", "f", "put", "get"])
def test_a_workload_runs_its_operations_without_errors(store: StoreDouble, workload: str) -> None:
    plan = plan_for(store.port, workload=workload, distribution="latest")
    load_all(plan)
    measured = run_share(plan)
    assert measured.success_count == 200
    assert not measured.errors


def test_concurrent_read_modify_writes_leave_what_their_versions_say(store: StoreDouble) -> None:
    plan = plan_for(store.port, workload="f", keys=10, connections=1)
    load_all(plan)
    measured = run_share(plan)
    assert measured.latencies["read-modify-write"].count > 50
    assert all(len(held) == 1 for held in store.held.values())


def test_connections_are_spread_over_the_servers_in_turn() -> None:
    with store_double() as a, store_double() as b, store_double() as c:
        servers = tuple(plan_for(s.port).servers[0] for s in (a, b, c))
        plan = plan_for(a.port, servers=servers, connections=8, keys=80)
        assert load_all(plan).success_count == 80
        assert [len({r.connection for r in s.requests}) for s in (a, b, c)] == [3, 3, 2]


def test_a_run_ends_when_its_time_is_up(store: StoreDouble) -> None:
    plan = plan_for(store.port, operations=None, duration_s=0.2, workload="put")
    measured = run_share(plan)
    assert measured.success_count > 0
    assert measured.elapsed_s >= 0.15


def test_progress_tells_the_operations_that_have_ended(store: StoreDouble) -> None:
    told: list[int] = []
    asyncio.run(load(plan_for(store.port, keys=30), told.append))
    assert told[-1] == 30
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (answer(problem(503, "overloaded")), "HTTP 503 overloaded"),
        (answer(problem(418, "teapot")), "HTTP 418"),
        (say(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"), "HTTP 500"),
        (hang_up(), "connection lost"),
        (say(b"SMTP/1.1 what?\r\n\r\n"), "malformed answer"),
        (
            say(b"HTTP/1.1 101 Upgrade\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
            "malformed answer",
        ),
        (keep_silent(), "timeout"),
    ],
)
def test_errors_are_counted_by_reason_and_the_run_goes_on(
    store: StoreDouble, fault: Fault, reason: str
) -> None:
    store.script(fault)
    plan = plan_for(store.port, workload="put", operations=20, connections=2, timeout_s=0.5)
    measured = run_share(plan)
    assert measured.errors == {("update", reason): 1}
    assert measured.success_count == 19


def test_an_answer_nobody_asked_for_ends_the_connection(store: StoreDouble) -> None:
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    store.script(say(good + good))
    plan = plan_for(store.port, workload="put", operations=20, connections=1)
    measured = run_share(plan)
    assert measured.errors == {("update", "an answer that was not asked for"): 1}
    assert measured.success_count == 19
    assert len({r.connection for r in store.requests}) == 2


def test_an_answer_beyond_the_bound_is_refused(
    store: StoreDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BODY_BYTES_MAX", 1000)
    store.script(say(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001))
    measured = run_share(plan_for(store.port, workload="put", operations=20, connections=1))
    assert measured.errors == {("update", "answer too large"): 1}
    assert measured.success_count == 19


def test_a_server_that_closes_after_its_answer_is_asked_again(store: StoreDouble) -> None:
    store.script(say(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"))
    plan = plan_for(store.port, workload="put", operations=20, connections=1)
    measured = run_share(plan)
    assert measured.success_count == 20
    assert not measured.errors
    assert len({r.connection for r in store.requests}) == 2


def test_a_read_without_its_version_is_an_error_of_the_read_modify_write(
    store: StoreDouble,
) -> None:
    plan = plan_for(store.port, workload="f", connections=1)
    load_all(plan)
    store.requests.clear()
    store.script(*[say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")] * 20)
    measured = run_share(plan)
    assert set(measured.errors) == {("read-modify-write", "unexpected answer")}


def test_a_server_that_goes_away_is_found_again(store: StoreDouble) -> None:
    plan = plan_for(store.port, workload="put", operations=3000)
    answered_before: list[int] = []

    def restart_once(done: int) -> None:
        if not answered_before:
            store.stop()
            answered_before.append(len(store.requests))
            store.start()

    measured = asyncio.run(run(plan, plan.share(0), restart_once))
    assert {kind for kind, _ in measured.errors} <= {"update", "connect"}
    assert measured.errors
    assert len(store.requests) > answered_before[0]
    assert measured.success_count > 3000 - plan.connections - 1


def test_a_load_ends_at_its_first_error(store: StoreDouble) -> None:
    store.script(answer(problem(507, "storage_failed")))
    loaded = load_all(plan_for(store.port, keys=5000, connections=2))
    assert loaded.errors == {("insert", "HTTP 507 storage_failed"): 1}
    assert loaded.success_count < 5000


def test_a_load_ends_when_the_server_dies(store: StoreDouble) -> None:
    plan = plan_for(store.port, keys=100_000)
    loaded = asyncio.run(load(plan, lambda done: store.stop() if done else None))
    assert loaded.error_count > 0


@pytest.fixture
def unused_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_server_that_is_not_there_is_said_at_once(unused_port: int) -> None:
    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{unused_port}.*refused"):
        load_all(plan_for(unused_port))


def test_without_operations_a_run_is_over_at_once(store: StoreDouble) -> None:
    class Nothing:
        def next(self) -> None:
            return None

    servers = plan_for(store.port).servers
    measured = asyncio.run(drive(servers, 2, Nothing(), Limits(1.0), lambda _: None))
    assert (measured.success_count, measured.error_count, measured.per_second) == (0, 0, 0)


def test_a_cluster_with_tls_is_asked_as_one_without_is(tmp_path: Path) -> None:
    authority = TestAuthority(tmp_path)
    with store_double(tls=server_context(authority.node("n1"))) as double:
        double.admitted = {"Bearer kvt_x"}
        security = Security(ca=authority.ca, token="kvt_x")
        plan = plan_for(double.port, keys=30, operations=50, security=security)
        assert load_all(plan).success_count == 30
        measured = run_share(plan)
        assert (measured.success_count, measured.error_count) == (50, 0)
        foreign = TestAuthority(tmp_path / "foreign", "elsewhere")
        with pytest.raises(ConnectionFailed, match="TLS: certificate verify failed"):
            load_all(plan_for(double.port, security=Security(ca=foreign.ca)))

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kit.http_store import Reply, StoreDouble, answer, problem

from kvorum.bench.workload import WORKLOADS
from kvorum.cli import main
from kvorum.cli.errors import ExitCode

STATUS = {"cluster": "local", "nodes": [{"name": "n1"}]}


@pytest.fixture
def server(store: StoreDouble) -> StoreDouble:
    """With the 20 keys of these tests in it."""
    store.documents["/status"] = STATUS
    store.documents["/entries"] = {"deleted": 20, "cursor": None}
    for number in range(20):
        store.put(f"bench:{number:08d}", "x")
    return store


def bench(server: StoreDouble, *options: str) -> Result:
    small = ("--keys", "20", "--connections", "4", "--operations", "50", "--duration", "60")
    return CliRunner().invoke(main, ["bench", "--server", server.address, *small, *options])


def document(server: StoreDouble, *options: str) -> dict[str, Any]:
    result = bench(server, "-o", "json", *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("workload", WORKLOADS)
def test_json_holds_the_plan_the_cluster_and_the_figures(
    server: StoreDouble, workload: str
) -> None:
    found = document(server, "--workload", workload, "--seed", "7")
    assert found["plan"]["workload"] == workload
    assert found["plan"]["distribution"] == WORKLOADS[workload].distribution
    assert found["plan"]["seed"] == 7
    assert found["cluster"] == STATUS
    assert found["load"]["operations"] == 20
    assert found["run"]["operations"] == 50
    assert set(found["run"]["latency_ms"]) <= set(WORKLOADS[workload].shares)
    assert found["started"]


def test_a_table_is_the_default(server: StoreDouble) -> None:
    result = bench(server, "--workload", "put")
    assert result.exit_code == 0, result.output
    assert "workload put, 20 keys uniform, 100-byte values, 4 connections" in result.stdout
    assert "50 operations in" in result.stdout
    assert "errors: 0; load:" in result.stdout


def test_a_seed_that_was_drawn_is_told(server: StoreDouble) -> None:
    assert document(server)["plan"]["seed"] != document(server)["plan"]["seed"]


def test_without_load_the_keys_are_taken_as_stored(server: StoreDouble) -> None:
    assert document(server, "--no-load", "--workload", "get")["load"] is None
    assert {seen.method for seen in server.requests} == {"GET"}


def test_namespace_and_quorums_reach_the_server(server: StoreDouble) -> None:
    document(server, "--workload", "a", "--namespace", "tests", "-r", "1", "-w", "3")
    gets = [seen for seen in server.requests if seen.path.startswith("/entry/")]
    puts = [seen for seen in server.requests if seen.method == "POST"]
    assert {(seen.query["r"], seen.query["namespace"]) for seen in gets} == {("1", "tests")}
    assert {(seen.query["w"], seen.json()["namespace"]) for seen in puts} == {("3", "tests")}


def test_errors_are_shown_and_a_failure(server: StoreDouble) -> None:
    result = bench(server, "--no-load", "--workload", "get", "--keys", "1000000")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "HTTP 404 not_found" in result.stdout
    assert "of the operations failed, most often with" in result.stderr


def test_errors_within_the_share_allowed_are_shown_but_no_failure(server: StoreDouble) -> None:
    options = ("--no-load", "--workload", "get", "--keys", "1000000", "--max-error-share", "1")
    found = document(server, *options)
    assert {error["reason"] for error in found["run"]["errors"]} == {"HTTP 404 not_found"}


def test_a_load_that_fails_says_why(server: StoreDouble) -> None:
    server.script(*[answer(problem(507, "storage_failed"))] * 100)
    server.faults.appendleft(answer(Reply(200, STATUS)))
    result = bench(server)
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "of 20 entries were stored before the run" in result.stderr
    assert "HTTP 507 storage_failed" in result.stderr


def test_a_server_that_is_not_there_is_one_line(server: StoreDouble) -> None:
    server.stop()
    result = bench(server, "--timeout", "1")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert server.address in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--workload", "e"),
        ("--keys", "0"),
        ("--duration", "0"),
        ("--max-error-share", "2"),
        ("--value-size", "-1"),
    ],
)
def test_options_out_of_range_are_refused(server: StoreDouble, options: tuple[str, ...]) -> None:
    result = bench(server, *options)
    assert result.exit_code == ExitCode.USAGE
    assert options[0] in result.stderr
    assert not server.requests


@pytest.mark.parametrize(
    "options", [("--server", "nowhere:port"), ("--namespace", "a b"), ("--processes", "5")]
)
def test_what_makes_no_plan_is_refused(server: StoreDouble, options: tuple[str, ...]) -> None:
    assert bench(server, *options).exit_code == ExitCode.CONFIG
    assert not server.requests


def deletions(server: StoreDouble) -> list[dict[str, str]]:
    """Their queries, without how long each may take."""
    queries = [seen.query for seen in server.requests if seen.method == "DELETE"]
    for query in queries:
        del query["timeout_ms"]
    return queries


OF_THE_RUN = {"prefix": "bench:", "confirm": "bench:"}


def test_the_keys_of_a_run_are_deleted_at_its_end(server: StoreDouble) -> None:
    result = bench(server, "--namespace", "tests")
    assert (result.exit_code, result.stderr) == (0, "")
    assert server.requests[-1].method == "DELETE"
    assert deletions(server) == [{**OF_THE_RUN, "namespace": "tests"}]
    stored = {item.rpartition(":")[0] for item in server.values("tests")}
    assert stored <= {"bench"}


@pytest.mark.parametrize("words", [["--keep"], ["--no-load"], ["--keep", "--no-load"]])
def test_keys_that_are_to_be_kept_stay(server: StoreDouble, words: list[str]) -> None:
    assert bench(server, *words).exit_code == 0
    assert deletions(server) == []


def test_the_keys_of_an_interrupted_run_are_deleted_too(
    server: StoreDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("kvorum.bench.processes.run", interrupted)
    assert bench(server).exit_code == ExitCode.INTERRUPTED
    assert deletions(server) == [OF_THE_RUN]


def test_keys_that_cannot_be_deleted_are_told(
    server: StoreDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        server.stop()
        raise KeyboardInterrupt

    monkeypatch.setattr("kvorum.bench.processes.run", interrupted)
    result = bench(server, "--namespace", "tests", "--timeout", "0.5")
    assert result.exit_code == ExitCode.INTERRUPTED
    assert "'kvorum delete --prefix bench: --namespace tests' deletes them" in result.stderr

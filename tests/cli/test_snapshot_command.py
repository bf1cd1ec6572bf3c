"""kvorum snapshot, against servers that answer as they are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner, Result
from kit.http_store import StoreDouble, store_double

from kvorum.cli import main
from kvorum.cli.bulk.items import START, Place
from kvorum.cli.errors import ExitCode
from kvorum.cli.snapshots.restore_run import steps_to

MADE: Final[dict[str, Any]] = {"name": "a", "files": 3, "bytes": 1234, "shared_bytes": 1000}
BEGUN: Final[dict[str, Any]] = {
    "name": "a",
    "task": "create",
    "ended": False,
    "bytes_done": 0,
    "bytes_total": 1234,
    "snapshot": None,
    "error": None,
}
ENDED: Final = BEGUN | {"ended": True, "snapshot": MADE}
FAILED: Final = BEGUN | {"ended": True, "error": {"code": "storage_failed", "message": "no room"}}
NODE: Final = {"node": "n1", "snapshots": []}


def run(store: StoreDouble, *words: str) -> Result:
    return CliRunner().invoke(
        main, ["snapshot", *words, "--server", store.address, "--timeout", "1"]
    )


def status(*addresses: str) -> dict[str, Any]:
    return {"nodes": [{"name": f"n{i + 1}", "http": at} for i, at in enumerate(addresses)]}


def test_it_waits_for_the_end_of_each_job(store: StoreDouble) -> None:
    store.documents = {
        "/status": status(store.address),
        "/snapshots": BEGUN | NODE,
        "/snapshots/a": ENDED,
    }
    result = run(store, "create", "a", "-o", "json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"nodes": [MADE | {"node": "n1"}]}
    asked = [(request.method, request.path) for request in store.requests]
    assert asked == [
        ("GET", "/status"),
        ("GET", "/snapshots"),
        ("POST", "/snapshots"),
        ("GET", "/snapshots/a"),
    ]


def test_a_list_is_in_one_order_whichever_node_was_first(
    store: StoreDouble,
) -> None:
    """A snapshot is made by each node at a moment of its own."""
    with store_double() as another:
        both = status(store.address, another.address)
        for server, moments in ((store, {"b": 20, "a": 11}), (another, {"a": 10, "b": 21})):
            made = [MADE | {"name": name, "created_ms": at} for name, at in moments.items()]
            server.documents = {"/status": both, "/snapshots": {"node": "", "snapshots": made}}
        found = json.loads(run(store, "list", "-o", "json").stdout)["snapshots"]
    order = [("a", "n1"), ("a", "n2"), ("b", "n1"), ("b", "n2")]
    assert [(one["name"], one["node"]) for one in found] == order


def test_a_job_that_fails_is_told_with_its_reason(store: StoreDouble) -> None:
    store.documents = {
        "/status": status(store.address),
        "/snapshots": BEGUN | NODE,
        "/snapshots/a": FAILED,
    }
    result = run(store, "create", "a")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "n1: no room" in result.stderr
    assert "kvorum snapshot delete a" in result.stderr


def test_a_node_that_is_away_is_found_before_anything_begins(store: StoreDouble) -> None:
    store.documents = {"/status": status(store.address, "127.0.0.1:1"), "/snapshots": NODE}
    result = run(store, "create", "a")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "n2" in result.stderr
    assert all(request.method == "GET" for request in store.requests)


def test_a_name_that_is_taken_anywhere(store: StoreDouble) -> None:
    store.documents = {
        "/status": status(store.address, store.address),
        "/snapshots": NODE | {"snapshots": [MADE]},
    }
    result = run(store, "create", "a")
    assert result.exit_code == ExitCode.REFUSED
    assert "n1, n2" in result.stderr
    assert all(request.method == "GET" for request in store.requests)


def test_the_list_shows_damage_too(store: StoreDouble) -> None:
    store.documents = {
        "/status": status(store.address),
        "/snapshots": NODE | {"snapshots": [{"name": "b", "damage": "it is half"}, MADE]},
    }
    result = run(store, "list")
    assert result.exit_code == 0, result.stderr
    assert "it is half" in result.stdout
    assert "1,234" in result.stdout


def test_damage_in_a_directory_is_listed(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "b"
    snapshot.mkdir(parents=True)
    (snapshot / "manifest.json").write_text("half")
    result = CliRunner().invoke(main, ["snapshot", "list", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0, result.stderr
    assert "damaged" in result.stdout


def test_verify_wants_it_on_every_node(store: StoreDouble) -> None:
    store.documents = {"/status": status(store.address), "/snapshots": NODE}
    result = run(store, "verify", "a")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "n1" in result.stderr
    assert run(store, "delete", "a").exit_code == ExitCode.NOT_FOUND


def test_a_server_that_makes_no_sense(store: StoreDouble) -> None:
    store.documents = {"/status": {"nodes": [1]}}
    assert run(store, "create", "a").exit_code == ExitCode.UNAVAILABLE
    store.documents = {"/status": status(store.address), "/snapshots": {"x": 1}}
    assert run(store, "create", "a").exit_code == ExitCode.UNAVAILABLE
    store.documents = {"/status": status(store.address), "/snapshots": NODE | {"ended": 1}}
    assert run(store, "create", "a").exit_code == ExitCode.UNAVAILABLE


def test_a_place_among_the_tokens_says_how_much_is_done() -> None:
    places = [START, Place(0, 1), Place(1 << 63, 2), Place((1 << 64) - 1, 3)]
    assert [steps_to(place) for place in places] == [0, 0, 5000, 9999]

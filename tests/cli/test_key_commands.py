"""kvorum data-keys, master-keys, namespace, scrub: what they ask of every node, and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from click.testing import CliRunner
from kit.http_store import StoreDouble

from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.model.topology import NamespaceSettings
from kvorum.sealing.keyring import Keyring
from kvorum.sealing.master_key import FileSource

WHOLE: Final = {"ended_ms": 1_700_000_000_000, "pairs": 77, "resealed": 5, "damaged": 2}
SCRUB: Final[dict[str, Any]] = {"running": False, "whole": WHOLE}
KEY: Final = {
    "namespace": "default",
    "id": 4,
    "state": "active",
    "created_ms": 1_700_000_000_000,
    "records": 12,
    "share": 0.25,
}
KEYS: Final[dict[str, Any]] = {"now_ms": 1000, "master_key": "ab", "keys": [KEY], "scrub": SCRUB}


def answering(store: StoreDouble, *names: str) -> None:
    nodes = [{"name": name, "http": store.address} for name in names]
    store.documents = {
        "/status": {"nodes": nodes},
        "/keys": KEYS,
        "/keys/rotate": KEYS,
        "/namespaces/shred": {"namespace": "default", "before_ms": 1000},
        "/scrub": {"scrub": SCRUB, "quarantine": {"damaged": 2}},
    }


def run(store: StoreDouble, *words: str, typed: str = "") -> Any:
    return CliRunner().invoke(main, [*words, "--server", store.address], input=typed)


def posts(store: StoreDouble) -> list[tuple[str, Any]]:
    return [(seen.path, seen.json()) for seen in store.requests if seen.method == "POST"]


@pytest.mark.parametrize(
    ("words", "body"), [([], {}), (["--namespace", "shop"], {"namespace": "shop"})]
)
def test_every_node_is_asked_to_rotate(
    store: StoreDouble, words: list[str], body: dict[str, Any]
) -> None:
    answering(store, "n1", "n2")
    result = run(store, "data-keys", "rotate", "--wait", *words)
    assert result.exit_code == 0, result.stderr
    assert posts(store) == [("/keys/rotate", body)] * 2
    assert "25.0%" in result.stdout
    assert "n2" in result.stdout


def test_nothing_is_rotated_while_a_node_is_away(store: StoreDouble) -> None:
    answering(store, "n1")
    store.documents["/status"]["nodes"].append({"name": "n2", "http": "127.0.0.1:1"})
    result = run(store, "data-keys", "rotate", "--timeout", "1")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "n2" in result.stderr
    assert posts(store) == []


def test_the_namespaces_of_nodes_that_are_up_are_listed_and_who_is_away_is_named(
    store: StoreDouble,
) -> None:
    answering(store, "n1", "n2")
    settings = msgspec.structs.asdict(NamespaceSettings.majority(3))
    store.documents["/namespaces"] = {"namespaces": {"orders": settings}, "removals": {}}
    store.documents["/status"]["nodes"].append({"name": "n3", "http": "127.0.0.1:1"})
    result = run(store, "namespace", "list")
    assert result.exit_code == ExitCode.INCOMPLETE, result.stderr
    assert "n1, n2" in next(line for line in result.stdout.splitlines() if "orders" in line)
    assert "n3" in result.stderr.splitlines()[-1]
    shown = json.loads(run(store, "namespace", "list", "-o", "json").stdout)
    assert (list(shown["nodes"]), shown["differing"]) == (["n1", "n2"], [])


def test_if_no_node_lists_its_namespaces_that_is_all_there_is_to_say(store: StoreDouble) -> None:
    answering(store, "n1", "n2")
    result = run(store, "namespace", "list")
    assert result.stdout == ""
    assert "no /namespaces here" in result.stderr
    assert result.exit_code != ExitCode.INCOMPLETE


@pytest.mark.parametrize("words", [["shred", "default"], ["drop", "default", "--shred"]])
def test_all_nodes_are_told_the_same_moment(store: StoreDouble, words: list[str]) -> None:
    answering(store, "n1", "n2")
    result = run(store, "namespace", *words, typed="y\n")
    assert result.exit_code == 0, result.stderr
    body = {"namespace": "default", "before_ms": 1000}
    assert posts(store) == [("/namespaces/shred", body)] * 2


@pytest.mark.parametrize(("words", "typed"), [(["--shred"], "n\n"), (["--yes"], "")])
def test_nothing_is_destroyed_that_was_not_meant_to_be(
    store: StoreDouble, words: list[str], typed: str
) -> None:
    answering(store, "n1")
    assert run(store, "namespace", "drop", "default", *words, typed=typed).exit_code != 0
    assert posts(store) == []


def test_a_scrub_shows_what_was_found(store: StoreDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvorum.cli.upkeep.scrub._REPLACED_S", 0.0)
    answering(store, "n1")
    result = run(store, "scrub", "--wait")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "2 on n1" in result.stderr
    assert "77" in result.stdout
    result = run(store, "scrub", "-o", "json")
    assert json.loads(result.stdout)["n1"]["quarantine"] == {"damaged": 2}


def test_the_master_key_of_a_stopped_node_is_changed(tmp_path: Path) -> None:
    path, old, new = tmp_path / "keys.json", tmp_path / "old", tmp_path / "new"
    keyring = Keyring.create(path, "local", FileSource(old), ["default"], 0)
    key = keyring.active("default")
    words = ["master-keys", "rewrap", "--data-dir", str(tmp_path), "--master-key", f"file:{old}"]
    result = CliRunner().invoke(main, [*words, "--new-master-key", f"file:{new}", "-o", "json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["from"] == keyring.master.id
    again = Keyring.open(path, "local", FileSource(new), ["default"], 0)
    assert again.active("default").id == key.id
    result = CliRunner().invoke(main, [*words, "--new-master-key", f"file:{new}"])
    assert result.exit_code != 0


def test_what_all_nodes_refuse_for_one_reason_is_refused_for_that_reason(
    store: StoreDouble,
) -> None:
    answering(store, "n1", "n2")
    del store.documents["/namespaces/shred"]
    result = run(store, "namespace", "drop", "default", "--shred", "--yes", "-o", "json")
    assert result.exit_code == ExitCode.USAGE
    error = json.loads(result.stderr)["error"]
    assert (error["outcome"], error["message"]) == ("none", "no /namespaces/shred here")


@pytest.mark.parametrize("typed", ["n\n", ""])
def test_without_a_yes_it_says_that_nothing_was_changed(store: StoreDouble, typed: str) -> None:
    answering(store, "n1")
    result = run(store, "namespace", "drop", "default", "--shred", typed=typed)
    assert result.exit_code == ExitCode.REFUSED
    assert result.stderr.splitlines()[-1].startswith("error: Nothing was changed")


def test_the_master_key_of_every_node_is_listed(store: StoreDouble) -> None:
    answering(store, "n1", "n2")
    rows = [line.split() for line in run(store, "master-keys", "list").stdout.splitlines()]
    assert rows[2:] == [["n1", "ab", "1"], ["n2", "ab", "1"]]
    shown = json.loads(run(store, "master-keys", "list", "-o", "json").stdout)
    assert shown["n1"] == {"master_key": "ab", "data_keys": 1}


@pytest.mark.parametrize("name", ["list", "rotate", "rewrap"])
def test_the_old_name_says_what_it_is_called_now(name: str) -> None:
    called = "master-keys" if name == "rewrap" else "data-keys"
    result = CliRunner().invoke(main, ["keys", name, "--help"])
    assert result.exit_code == 0
    assert f"'kvorum {called}'" in result.stderr
    assert "for the keys of entries use 'kvorum ls'" in result.stderr


def test_the_old_name_does_what_the_new_one_does(store: StoreDouble) -> None:
    answering(store, "n1")
    old, new = run(store, "keys", "list"), run(store, "data-keys", "list")
    assert (old.exit_code, old.stdout) == (0, new.stdout)
    assert "note" in json.loads(run(store, "keys", "list", "-o", "json").stderr)
    assert "\n  keys " not in CliRunner().invoke(main, ["--help"]).stdout

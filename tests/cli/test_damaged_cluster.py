"""A cluster with a record that is damaged on disks: nothing passes over it in silence."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result
from kit.running_cluster import Cluster, command, damage, origins, running
from kit.waiting import DEADLINE_S

import kvorum as client_library
from kvorum.cli.errors import ExitCode
from kvorum.model.errors import CorruptRecord

ENTRIES: Final = {f"key {i}": i for i in range(60)}
LOST: Final = "key 7"


@pytest.fixture
def stopped(tmp_path: Path) -> Cluster:
    """Three nodes that have filed all entries."""
    with running(tmp_path / "three", 3) as cluster:
        cluster.fill(ENTRIES)
        cluster.run("snapshot", "create", "sound")
    return cluster


def asked(cluster: Cluster, *words: str | Path) -> Result:
    return command(*words, "--server", cluster.server, "-o", "json")


def keys_in(file: Path) -> set[str]:
    lines = map(json.loads, file.read_text().splitlines())
    return {line["key"] for line in lines if "key" in line}


@pytest.mark.parametrize("versions", [[], ["--versions"]])
def test_an_export_has_all_else_and_names_what_is_damaged_everywhere(
    stopped: Cluster, tmp_path: Path, versions: list[str]
) -> None:
    token = damage(stopped, LOST, 0, 1, 2)
    file = tmp_path / "export"
    with running(stopped.directory, 3) as cluster:
        exported = asked(cluster, "export", file, *versions)
        assert exported.exit_code == ExitCode.INCOMPLETE, exported.output
        assert keys_in(file) == ENTRIES.keys() - {LOST}
        summary = json.loads(exported.stdout)
        (one,) = summary["unreadable"]
        assert summary["entries"] == len(ENTRIES) - 1
        assert one["token"] == token
        assert one["nodes"] == ["n1", "n2", "n3"]
        assert json.loads(exported.stderr)["error"]["unreadable"] == [one]
        shown = command("export", *versions, "--server", cluster.server)
        assert shown.exit_code == ExitCode.INCOMPLETE
        assert f"not exported: a record of unknown key at the token {token}" in shown.stderr
        assert len(shown.stdout.splitlines()) == len(ENTRIES) - 1 + len(versions)
        with client_library.connect(f"kvorum://{cluster.server}") as store:
            found: list[str] = []
            with pytest.raises(CorruptRecord) as caught:
                found.extend(entry.key for entry in store.scan())
            assert caught.value.details["unreadable"] == [one]


def test_repair_and_scrub_and_verify_name_it_and_fail(stopped: Cluster, tmp_path: Path) -> None:
    token = damage(stopped, LOST, 0, 1, 2)
    with running(stopped.directory, 3) as cluster:
        # A node that has just started may not have counted its records yet.
        repaired = asked(cluster, "repair", "--full")
        deadline = time.monotonic() + DEADLINE_S
        while repaired.exit_code == ExitCode.UNAVAILABLE and time.monotonic() < deadline:
            repaired = asked(cluster, "repair", "--full")
        assert repaired.exit_code == ExitCode.INCOMPLETE, repaired.output
        (one,) = json.loads(repaired.stdout)["damaged"]
        assert (one["token"], one["nodes"]) == (token, ["n1", "n2", "n3"])
        assert asked(cluster, "scrub", "--wait").exit_code == ExitCode.INCOMPLETE
        created = asked(cluster, "snapshot", "create", "damaged")
        assert created.exit_code == ExitCode.INCOMPLETE, created.output
        assert [node["unreadable"] for node in json.loads(created.stdout)["nodes"]] == [1, 1, 1]
        assert asked(cluster, "snapshot", "verify", "damaged").exit_code == ExitCode.INCOMPLETE
        assert asked(cluster, "snapshot", "verify", "sound").exit_code == 0
    offline = command("snapshot", "verify", "damaged", "--data-dir", stopped.nodes[0])
    assert offline.exit_code == ExitCode.INCOMPLETE
    with running(tmp_path / "other", 1) as other:
        words: list[str | Path] = ["snapshot", "restore", "damaged", *origins(stopped)]
        refused = asked(other, *words)
        assert refused.exit_code == ExitCode.REFUSED
        assert "1 records are damaged" in refused.stderr
        assert other.entries() == {}
        partial = asked(other, *words, "--partial")
        assert partial.exit_code == ExitCode.INCOMPLETE
        report: dict[str, Any] = json.loads(partial.stdout)
        assert (report["records"], report["missing"]["damaged"]) == (len(ENTRIES) - 1, 1)
        assert other.entries().keys() == ENTRIES.keys() - {LOST}


def test_what_one_node_has_whole_is_exported_and_repaired(stopped: Cluster, tmp_path: Path) -> None:
    damage(stopped, LOST, 0)
    file = tmp_path / "export"
    with running(stopped.directory, 3) as cluster:
        cluster.run("export", file)
        assert keys_in(file) == ENTRIES.keys()
        assert cluster.run("repair", "--full")["damaged"] == []
        cluster.run("scrub", "--wait")
        cluster.run("export", file)
        assert keys_in(file) == ENTRIES.keys()

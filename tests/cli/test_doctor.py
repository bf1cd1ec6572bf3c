"""`kvorum doctor`: each finding from what is known of a cluster, and all of them on a real one."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from click.testing import CliRunner
from kit.http_store import StoreDouble
from kit.program import kvorum
from kit.running_cluster import running
from kit.waiting import eventually

from kvorum.cli import main
from kvorum.cli.inspection.doctor import FOUND_FAILURES, examined
from kvorum.cli.inspection.evidence import Evidence, LocalDisk, measured
from kvorum.cli.inspection.finding import Finding
from kvorum.cli.inspection.status_watch import SILENT
from kvorum.documents.snapshot import Snapshot, SnapshotList
from kvorum.documents.status import Status
from kvorum.model.errors import ConfigError

NOW_MS: Final = 1_700_000_000_000
DAY_MS: Final = 86_400_000
NAMES: Final = ("n1", "n2", "n3")


def node(name: str, seer: str, **fields: Any) -> dict[str, Any]:
    number = NAMES.index(name) + 1
    known: dict[str, Any] = {
        "name": name,
        "http": f"10.0.0.{number}:7400",
        "peer": f"10.0.0.{number}:7500",
        "up": True,
        "self": name == seer,
        "clock_ahead_ms": 0,
    }
    return known | fields


def status(name: str, **fields: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "cluster": "shop",
        "epoch": 1,
        "node": name,
        "version": "0.1.0",
        "uptime_s": 60.0,
        "clock": {"state": "trusted"},
        "nodes": [node(each, name) for each in NAMES],
        "namespaces": {"default": {"replicas": 3, "read": 2, "write": 2}},
        "storage": {"scrub": {"running": False}, "quarantine": {"damaged": 0}},
        "resources": {
            "python": "3.11.7",
            "protocol": "version 5",
            "open_files": 40,
            "open_files_max": 20_000,
            "disk": {"free_bytes": 50, "total_bytes": 100},
            "journal": {"sync_p50_ms": 2.0},
            "engine": {},
        },
        "anti_entropy": {
            "partitions": 8,
            "compared": 8,
            "oldest_round_ms": NOW_MS - 60_000,
            "repaired": 0,
        },
    }
    return known | fields


def evidence(**changed: dict[str, Any]) -> Evidence:
    """Three nodes without a fault, but for the fields of a status in `changed`, by node."""
    statuses = {
        name: msgspec.convert(status(name, **changed.get(name, {})), Status) for name in NAMES
    }
    sound = [Snapshot("nightly", created_ms=NOW_MS - DAY_MS)]
    return Evidence(
        nodes=list(statuses["n1"].nodes),
        now_ms=NOW_MS,
        statuses=statuses,
        snapshots={name: SnapshotList(name, sound) for name in NAMES},
    )


def resources(**fields: Any) -> dict[str, Any]:
    return {"resources": status("n1")["resources"] | fields}


def troubles(of: Evidence) -> list[Finding]:
    return [finding for finding in examined(of) if finding.level != "ok"]


def only(of: Evidence) -> Finding:
    (finding,) = troubles(of)
    assert finding.next, "there is a next command"
    assert finding.what.endswith(".")
    return finding


def test_a_sound_cluster_has_no_findings_but_good_ones() -> None:
    found = examined(evidence())
    assert {finding.level for finding in found} == {"ok"}
    assert {finding.check for finding in found} >= {"reachability", "clocks", "disk", "backups"}
    assert all(finding.what.endswith(".") for finding in found)


SOUND: Final = status("n1")["storage"]
FAULTS: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("fail", "clocks", {"clock": {"state": "wrong"}}),
    ("fail", "versions", resources(protocol="version 3")),
    ("fail", "versions", {"epoch": 2}),
    ("warn", "versions", {"version": "0.2.0"}),
    ("warn", "versions", resources(python="3.12.1")),
    ("fail", "disk", resources(disk={"free_bytes": 1, "total_bytes": 100, "full": True})),
    ("warn", "disk", resources(disk={"free_bytes": 9, "total_bytes": 100})),
    ("warn", "disk", resources(journal={"sync_p50_ms": 75.0})),
    ("warn", "disk", resources(journal={"lag_s": 301.0})),
    ("fail", "disk", resources(engine={"stopped": True})),
    ("warn", "file descriptors", resources(open_files=17_000)),
    ("warn", "file descriptors", resources(open_files_max=256)),
    ("fail", "stored records", {"storage": SOUND | {"quarantine": {"damaged": 3}}}),
    ("fail", "stored records", {"storage": SOUND | {"damaged_files": {"000012.sst": "bad"}}}),
    ("fail", "stored records", {"waiting": {"tokens": 2, "unreadable": 2}}),
    ("warn", "stored records", {"waiting": {"tokens": 2}}),
    ("warn", "stored records", {"recovering": True}),
    ("warn", "stored records", {"forgot": True}),
    ("fail", "namespaces", {"namespaces": {}}),
    (
        "fail",
        "namespaces",
        {"namespaces": {"default": {"replicas": 3, "read": 1, "write": 3}}},
    ),
    ("warn", "hints", {"nodes": [node(n, "n2", hints_owed=5 * (n == "n3")) for n in NAMES]}),
    (
        "warn",
        "hints",
        {"nodes": [node(n, "n2", hints={"missed_more": n == "n3"}) for n in NAMES]},
    ),
    ("fail", "membership", {"nodes": [node(n, "n2", up=n != "n3", state="down") for n in NAMES]}),
    ("warn", "membership", {"nodes": [node(n, "n2", up=n != "n3") for n in NAMES]}),
    (
        "warn",
        "anti-entropy",
        {
            "anti_entropy": {
                "partitions": 8,
                "compared": 8,
                "oldest_round_ms": NOW_MS - 2 * DAY_MS,
                "repaired": 0,
            }
        },
    ),
]


@pytest.mark.parametrize(("level", "check", "fields"), FAULTS)
def test_each_fault_of_a_node_is_found(level: str, check: str, fields: dict[str, Any]) -> None:
    if check == "membership" and level == "fail":
        fields = {"nodes": [each | {"state": "up"} if each["up"] else each for each in
                            fields["nodes"]]}  # fmt: skip
    finding = only(evidence(n2=fields))
    assert (finding.level, finding.check) == (level, check)


def test_a_clock_apart_is_named_once() -> None:
    ahead = {name: 5000 * (name == "n3") for name in NAMES}
    seen = {"nodes": [node(n, "n1", clock_ahead_ms=ahead[n]) for n in NAMES]}
    finding = only(evidence(n1=seen))
    assert finding.what == "The clock of n3 is 5.0 s ahead of that of n1."


def test_a_silent_node_and_what_it_means_for_the_quorums() -> None:
    known = evidence()
    del known.statuses["n3"]
    known.silent = {"n3": "Connection refused."}
    found = {(finding.level, finding.check, finding.about) for finding in troubles(known)}
    assert found == {("fail", "reachability", "n3"), ("warn", "quorums", "default")}
    del known.statuses["n2"]
    known.silent["n2"] = "Connection refused."
    assert ("fail", "quorums") in {(each.level, each.check) for each in troubles(known)}


def test_a_closed_peer_port_is_a_warning() -> None:
    known = evidence()
    known.closed = {"n2": "Connection refused"}
    finding = only(known)
    assert (finding.level, finding.next) == ("warn", "nc -vz 10.0.0.2 7500")


@pytest.mark.parametrize(
    ("snapshots", "level"),
    [
        ([], "warn"),
        ([Snapshot("old", created_ms=NOW_MS - 30 * DAY_MS)], "warn"),
        ([Snapshot("new", created_ms=NOW_MS), Snapshot("bad", damage="cut")], "fail"),
    ],
)
def test_backups_are_looked_at(snapshots: list[Snapshot], level: str) -> None:
    known = evidence()
    known.snapshots["n1"] = SnapshotList("n1", snapshots)
    finding = only(known)
    assert (finding.level, finding.check) == (level, "backups")


def test_a_slow_and_full_local_disk() -> None:
    known = evidence()
    known.disk = LocalDisk(
        directory="/data", free_bytes=5, total_bytes=100, sync_ms=80.0, slowest_ms=90.0
    )
    assert [(each.level, each.next) for each in troubles(known)] == [
        ("warn", "iostat -x 1 5"),
        ("warn", "df -h /data"),
    ]


def test_a_local_disk_is_measured_and_nothing_is_left(tmp_path: Path) -> None:
    disk = measured(tmp_path)
    assert 0 <= disk.sync_ms <= disk.slowest_ms
    assert disk.total_bytes >= disk.free_bytes > 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="cannot be measured"):
        measured(tmp_path / "none")


def test_a_cluster_without_failures_ends_with_0() -> None:
    store = StoreDouble()
    store.start()
    try:
        alone = status("n1", nodes=[node("n1", "n1", http=store.address, peer="")])
        alone["namespaces"] = {"default": {"replicas": 1, "read": 1, "write": 1}}
        store.documents["/status"] = alone
        store.documents["/snapshots"] = {"node": "n1", "snapshots": []}
        result = CliRunner().invoke(main, ["doctor", "--server", store.address])
        assert result.exit_code == 0, result.output
        assert "0 failures" in result.stdout
        assert "n1 has no snapshot." in result.stdout
    finally:
        store.stop()


def test_a_real_cluster_without_faults(tmp_path: Path) -> None:
    with running(tmp_path, 2) as cluster:
        found = cluster.run("doctor", "--data-dir", tmp_path / "n1")
        assert found["failures"] == 0, found
        first, second = watched(cluster.server)
    assert first["at_ms"] < second["at_ms"]
    assert [each["state"] for each in second["nodes"]] == ["up", "up"]
    assert second["nodes"][0]["requests_per_s"] > 0, "it has answered the first look"


@pytest.mark.slow
def test_a_killed_node_of_a_real_cluster(tmp_path: Path) -> None:
    with running(tmp_path, 3) as cluster:
        described = cluster.run("status")["nodes"]
    file = tmp_path / "cluster.toml"
    first, second, third = (
        ["serve", "--cluster", file, "--node", name, "--data-dir", tmp_path / name]
        for name in NAMES
    )
    with kvorum(*first), kvorum(*second):
        with kvorum(*third):
            eventually(lambda: failing(cluster.server) == set(), "all nodes are up")
        # Leaving the block has killed it.
        eventually(lambda: "n3" in failing(cluster.server), "a node is missing")
        found = doctored(cluster.server)
        (silent,) = (each for each in found if each["check"] == "reachability")
        assert (silent["level"], silent["about"]) == ("fail", "n3")
        assert next(each["http"] for each in described if each["name"] == "n3") in silent["what"]
        look = watched(cluster.server)[-1]
        assert look["nodes"][2]["state"] == SILENT


def doctored(server: str) -> list[dict[str, Any]]:
    words = ["doctor", "--server", server, "--timeout", "1", "-o", "json"]
    result = CliRunner().invoke(main, words)
    if result.exit_code not in (0, FOUND_FAILURES):
        return [{"level": "fail", "check": "start", "about": "n1"}]
    document = json.loads(result.stdout)
    found: list[dict[str, Any]] = document["findings"]
    failures = [each for each in found if each["level"] == "fail"]
    assert (document["failures"], result.exit_code) == (len(failures), bool(failures))
    return found


def failing(server: str) -> set[str]:
    return {each["about"] for each in doctored(server) if each["level"] == "fail"}


def watched(server: str) -> list[dict[str, Any]]:
    """The first two looks of a watch, which an interrupt ends."""
    words = ("status", "--watch", "0.1", "--timeout", "1", "--server", server, "-o", "json")
    with kvorum(*words) as program:
        looks = [json.loads(program.line()) for _ in range(2)]
        program.send(signal.SIGINT)
        assert program.ended() == 0, program.errors
    return looks

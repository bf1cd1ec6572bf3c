"""Snapshots of real clusters: made while they serve, and restored into others."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any, Final

import pytest
from kit.program import kvorum
from kit.running_cluster import Cluster, command, origins, running
from kit.waiting import DEADLINE_S, eventually

import kvorum as client_library
from kvorum.cli.bulk.position import PositionFile
from kvorum.cli.errors import ExitCode
from kvorum.devcluster.ports import free_port
from kvorum.storage import identity

ENTRIES: Final[dict[str, Any]] = {
    f"key {i}": {"number": i, "text": "ä" * (i % 50)} for i in range(500)
} | {"logo": client_library.TypedBytes(b"\x89PNG", "image/png")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cluster, dict[str, Any]]:
    """Three nodes that are stopped, with a snapshot "one"; and what was acknowledged before."""
    directory = tmp_path_factory.mktemp("three")
    with running(directory, 3) as cluster:
        cluster.fill(ENTRIES)
        with client_library.connect(f"kvorum://{cluster.server}") as store:
            store.set("session", 1, ttl=3600)
        cluster.session_expires = cluster.expiry("session")
        acknowledged: dict[str, Any] = {**ENTRIES, "session": 1}
        stop = threading.Event()

        def write() -> None:
            with client_library.connect(f"kvorum://{cluster.server}") as store:
                number = 0
                while not stop.is_set():
                    number += 1
                    store.set(f"live {number}", number)
                    acknowledged[f"live {number}"] = number

        writer = threading.Thread(target=write)
        writer.start()
        eventually(lambda: "live 50" in acknowledged, "writes")
        before = dict(acknowledged)
        document = cluster.run("snapshot", "create", "one")
        stop.set()
        writer.join(DEADLINE_S)
        assert [one["node"] for one in document["nodes"]] == ["n1", "n2", "n3"]
        assert all(one["bytes"] > 0 for one in document["nodes"])
        assert cluster.run("snapshot", "verify", "one")["nodes"] == document["nodes"]
        cluster.fill({"key 1": "changed", "after": 1})
    return cluster, before


@pytest.mark.parametrize("nodes", [1, 5])
def test_into_a_cluster_of_another_size(
    made: tuple[Cluster, dict[str, Any]], tmp_path: Path, nodes: int
) -> None:
    source, before = made
    with running(tmp_path / "other", nodes) as cluster:
        cluster.run("snapshot", "restore", "one", *origins(source))
        restored = cluster.entries()
        assert before.items() <= restored.items()
        assert "after" not in restored
        new = {identity.decode((n / "node.json").read_bytes()).node_id for n in cluster.nodes}
        old = {identity.decode((n / "node.json").read_bytes()).node_id for n in source.nodes}
        assert new.isdisjoint(old)

        assert cluster.expiry("session") == source.session_expires is not None

        # What is written or deleted since stays so, unless it is asked for anew.
        assert restored["logo"].content_type == "image/png"
        cluster.fill({"key 2": "newer", "logo": 1})
        cluster.run("snapshot", "restore", "one", *origins(source))
        assert cluster.entries()["key 2"] == "newer"
        cluster.run("snapshot", "restore", "one", "--renew", *origins(source))
        anew = cluster.entries()
        assert (anew["key 2"], anew["logo"]) == (ENTRIES["key 2"], ENTRIES["logo"])
        assert anew["logo"].content_type == "image/png"
        assert cluster.expiry("session") == source.session_expires


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_too_few_snapshots_are_refused_before_anything_is_written(
    made: tuple[Cluster, dict[str, Any]], tmp_path: Path, resume: list[str]
) -> None:
    source, _ = made
    words: list[str | Path] = ["snapshot", "restore", "one", "--from", source.nodes[0], *resume]
    words += ["--server", "127.0.0.1:1"]  # nobody is asked
    refused = command(*words)
    assert refused.exit_code == ExitCode.REFUSED, refused.output
    assert "there is no snapshot of n2 and n3" in refused.stderr
    assert "256 of 256 partitions of namespace 'default'" in refused.stderr
    assert "--partial" in refused.stderr
    as_json = command(*words, "-o", "json")
    missing = json.loads(as_json.stderr)["error"]["missing"]
    assert missing["missing"] == ["n2", "n3"]
    assert {"namespace": "default", "partitions": 256, "total": 256} in missing["gaps"]


def test_some_snapshots_may_do_and_others_are_restored_if_asked(
    made: tuple[Cluster, dict[str, Any]], tmp_path: Path
) -> None:
    source, before = made
    with running(tmp_path / "other", 1) as cluster:
        n1, n2, _ = source.nodes
        words = ["snapshot", "restore", "one", "--server", cluster.server, "-o", "json"]
        partial = command(*words, "--from", n1, "--partial")
        assert partial.exit_code == ExitCode.INCOMPLETE, partial.output
        assert json.loads(partial.stdout)["missing"]["missing"] == ["n2", "n3"]
        assert "acknowledged writes may be missing" in partial.stderr
        two = command(*words, "--from", n1, "--from", n2)
        assert two.exit_code == 0, two.output
        assert json.loads(two.stdout)["missing"] is None
        assert before.items() <= cluster.entries().items()


def test_a_restore_goes_on_where_it_was(
    made: tuple[Cluster, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, _ = made
    position = tmp_path / "position"
    words = ["snapshot", "restore", "one", *origins(source), "--position", position]
    with running(tmp_path / "first", 1) as first, monkeypatch.context() as patch:
        patch.setattr(PositionFile, "remove", lambda _: None)  # as if it were killed at its end
        first.run(*words)
    with running(tmp_path / "other", 1) as cluster:
        # As if it had ended half-way through the tokens.
        saved = json.loads(position.read_text())
        saved["task"]["cluster"] = [cluster.run("status")["cluster"], cluster.server]
        saved["done"] |= {"place": [1 << 63, 7], "stored": 7}
        position.write_text(json.dumps(saved))
        document = cluster.run(*words, "--resume")
        restored = cluster.entries()
        assert 0 < len(restored) < len(ENTRIES)
        assert document["records"] == 7 + len(restored)
        assert not position.exists()


def test_all_namespaces_are_written_anew_in_one_go(tmp_path: Path) -> None:
    spaces = ("default", "other")
    values = {space: {f"key {i}": f"{space} {i}" for i in range(700)} for space in spaces}
    ports = [free_port(1), free_port(1)]
    source, target = (f"127.0.0.1:{port}" for port in ports)
    with (
        kvorum("serve", "--data-dir", tmp_path / "a", "--port", ports[0]) as one,
        kvorum("serve", "--data-dir", tmp_path / "b", "--port", ports[1]) as two,
    ):
        one.line()
        two.line()
        for server in (source, target):
            with client_library.connect(f"kvorum://{server}") as store:
                store.create_namespace("other")
                if server == source:
                    for space in spaces:
                        store.set_many(values[space], namespace=space)
                    version = store.set("siblings", 0, namespace="other").version
                    for value in (1, 2):
                        store.set("siblings", value, version=version, namespace="other")
        assert command("snapshot", "create", "one", "--server", source).exit_code == 0
        with client_library.connect(f"kvorum://{target}") as store:
            words: list[str | Path] = ["snapshot", "restore", "one", "--renew"]
            words += ["--from", tmp_path / "a", "--server", target, "-o", "json"]
            only = command(*words, "--namespace", "other")
            assert json.loads(only.stdout)["records"] == 701, only.output
            assert list(store.scan(namespace="default")) == []
            store.set("key 1", "newer", namespace="other")
            both = command(*words)
            assert json.loads(both.stdout)["records"] == 1401, both.output
            for space in spaces:
                found = {entry.key: entry for entry in store.scan(namespace=space)}
                assert {key: found[key].value for key in values[space]} == values[space]
            assert {one.value for one in found["siblings"].siblings} == {1, 2}


def test_a_restore_that_has_stored_nothing_leaves_no_position(
    made: tuple[Cluster, dict[str, Any]], tmp_path: Path
) -> None:
    source, _ = made
    position = tmp_path / "position"
    words = ["snapshot", "restore", "one", *origins(source), "--position", position]
    with running(tmp_path / "other", 1) as cluster:
        failed = command(*words, "--server", cluster.server, "-w", "2")
        assert failed.exit_code == ExitCode.USAGE
        assert not position.exists()


def test_resuming_another_restore_is_refused(
    made: tuple[Cluster, dict[str, Any]], tmp_path: Path
) -> None:
    source, _ = made
    position = tmp_path / "position"
    words = ["snapshot", "restore", "one", *origins(source), "--position", position, "--resume"]
    with running(tmp_path / "other", 1) as cluster:
        words += ["--server", cluster.server]
        assert f"no position file {position}" in command(*words).stderr
        position.write_text("{}")
        assert "is not the position of a restore" in command(*words).stderr
        options = ["no --namespace", "no --renew"]
        status = cluster.run("status")
        where = [status["cluster"], cluster.server]
        task = {"what": "a restore", "unit": "records", "options": options, "cluster": where}
        position.write_text(json.dumps({"task": task, "source": "another", "done": {}}))
        assert "from another source" in command(*words).stderr
        assert cluster.entries() == {}


def test_what_is_wrong_with_the_sources(
    made: tuple[Cluster, dict[str, Any]], tmp_path: Path
) -> None:
    source, _ = made
    n1, n2 = source.nodes[0], source.nodes[1]
    stranger = tmp_path / "stranger.key"
    stranger.write_text("00" * 32)
    stranger.chmod(0o600)
    restore = ["snapshot", "restore", "one", "--server", "127.0.0.1:1"]
    cases: list[tuple[list[str | Path], int, str]] = [
        ([], ExitCode.USAGE, "--from"),
        (["--from", n1, "--from", n1], ExitCode.CONFIG, "twice"),
        (["--from", n1, "--master-key", f"file:{stranger}"], ExitCode.CONFIG, "master key"),
        (["--from", tmp_path], ExitCode.NOT_FOUND, "snapshot"),
        (["--from", n1, "--data-dir", n2], ExitCode.USAGE, "--data-dir"),
        (["--from", n1, "--master-key", "env:A", "--master-key", "env:B"], 2, "--master-key"),
    ]
    for words, exit_code, said in cases:
        result = command(*restore, *words)
        assert (result.exit_code, said in result.stderr) == (exit_code, True), result.stderr


def test_list_verify_and_delete(tmp_path: Path) -> None:
    with running(tmp_path / "three", 3) as cluster:
        cluster.fill(ENTRIES)
        cluster.run("snapshot", "create", "one")
        cluster.run("snapshot", "create", "two")
        listed = cluster.run("snapshot", "list")["snapshots"]
        assert [(one["name"], one["node"]) for one in listed] == [
            (name, node) for name in ("one", "two") for node in ("n1", "n2", "n3")
        ]
        assert all(one["shared_bytes"] > one["bytes"] / 2 for one in listed)
        again = command("snapshot", "create", "two", "--server", cluster.server)
        assert again.exit_code == ExitCode.REFUSED

        damaged = cluster.nodes[1] / "snapshots" / "one" / "rocks" / "CURRENT"
        damaged.write_bytes(b"MANIFEST-000099\n")
        found = command("snapshot", "verify", "one", "--server", cluster.server)
        assert found.exit_code == ExitCode.REFUSED
        assert "n2" in found.stderr
        assert "CURRENT" in found.stderr
        offline = command("snapshot", "verify", "one", "--data-dir", cluster.nodes[1])
        assert offline.exit_code == ExitCode.REFUSED
        assert command("snapshot", "verify", "one", "--data-dir", cluster.nodes[0]).exit_code == 0

        assert command("snapshot", "verify", "three", "--server", cluster.server).exit_code == 1
        assert command("snapshot", "create", "../x", "--server", cluster.server).exit_code == 2
        used = command("snapshot", "delete", "one", "--data-dir", cluster.nodes[0])
        assert used.exit_code == ExitCode.CONFIG, "its node runs"
        cluster.run("snapshot", "delete", "one")
        left = cluster.run("snapshot", "list")["snapshots"]
        assert {one["name"] for one in left} == {"two"}
    assert command("snapshot", "delete", "two", "--data-dir", cluster.nodes[0]).exit_code == 0
    listed = json.loads(
        command("snapshot", "list", "--data-dir", cluster.nodes[0], "-o", "json").stdout
    )
    assert listed == {"snapshots": []}


def test_one_node_goes_back_and_catches_up(tmp_path: Path) -> None:
    directory = tmp_path / "three"
    with running(directory, 3) as cluster:
        cluster.fill(ENTRIES)
        cluster.run("snapshot", "create", "one")
        cluster.fill({"later": 1})
    node = cluster.nodes[1]
    old = identity.decode((node / "node.json").read_bytes())
    restored = command("snapshot", "restore", "one", "--data-dir", node, "-o", "json")
    assert restored.exit_code == 0, restored.output
    assert json.loads(restored.stdout)["node_id"] != old.node_id
    with running(directory, 3) as cluster:
        until_whole(cluster, "n2")
        assert copies(cluster, "later") == ["current"] * 3


def test_the_whole_cluster_goes_back(tmp_path: Path) -> None:
    directory = tmp_path / "three"
    with running(directory, 3) as cluster:
        cluster.fill(ENTRIES)
        cluster.run("snapshot", "create", "one")
        cluster.fill({"later": 1, "key 1": "changed"})
    for node in cluster.nodes:
        assert command("snapshot", "restore", "one", "--data-dir", node).exit_code == 0
    with running(directory, 3) as cluster:
        for name in ("n1", "n2", "n3"):
            until_whole(cluster, name)
        assert cluster.entries() == ENTRIES
        cluster.fill({"key 1": "changed again"})
        assert cluster.entries()["key 1"] == "changed again"


def test_a_damaged_node_is_rebuilt_from_the_others(tmp_path: Path) -> None:
    directory = tmp_path / "three"
    with running(directory, 3) as cluster:
        cluster.fill(ENTRIES)
        cluster.run("snapshot", "create", "flush")
    node = cluster.nodes[2]
    for file in (node / "rocks").glob("*.sst"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    rebuilt = command("rebuild", "--data-dir", node, "-o", "json")
    assert rebuilt.exit_code == 0, rebuilt.output
    aside = json.loads(rebuilt.stdout)["aside"]
    assert aside
    assert all(Path(path).exists() for path in aside)
    with running(directory, 3) as cluster:
        until_whole(cluster, "n3")
        assert copies(cluster, "key 7") == ["current"] * 3
    assert command("rebuild", "--data-dir", node, "--discard").exit_code == 0
    assert {path.name for path in node.glob("*.before-*")} == {Path(path).name for path in aside}, (
        "what is discarded is what this run has moved"
    )


def test_a_node_alone_is_not_rebuilt_unless_told(tmp_path: Path) -> None:
    with client_library.open(tmp_path) as store:
        store.set("a", 1)
    refused = command("rebuild", "--data-dir", tmp_path)
    assert refused.exit_code == ExitCode.CONFIG
    assert "--lose-data" in refused.stderr
    with client_library.open(tmp_path) as store:
        assert store.get("a") == 1
        busy = command("rebuild", "--data-dir", tmp_path, "--lose-data")
        assert busy.exit_code == ExitCode.CONFIG
    assert command("rebuild", "--data-dir", tmp_path, "--lose-data").exit_code == 0
    with client_library.open(tmp_path) as store:
        assert store.get("a") is None


def until_whole(cluster: Cluster, name: str) -> None:
    """Until the node `name` has compared with the others."""
    port = int(cluster.server.rpartition(":")[2]) + int(name.removeprefix("n")) - 1
    with client_library.connect(f"kvorum://127.0.0.1:{port}") as store:
        deadline = time.monotonic() + DEADLINE_S
        while store.status()["recovering"]:
            assert time.monotonic() < deadline, "it does not recover"
            time.sleep(0.05)


def copies(cluster: Cluster, key: str) -> list[str]:
    with client_library.connect(f"kvorum://{cluster.server}") as store:
        return [replica["state"] for replica in store.locate(key)["replicas"]]

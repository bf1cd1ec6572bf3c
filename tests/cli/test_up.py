"""`kvorum up`, as processes: a cluster that starts, heals, stops, and has its data again."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kit.http_store import StoreDouble
from kit.program import Program, is_running, kvorum, refusal
from kit.waiting import DEADLINE_S, eventually
from rich.console import Console

from kvorum import Client, connect
from kvorum.cli.errors import ExitCode
from kvorum.cli.servers import up_table
from kvorum.cli.servers.topology_file import load_topology
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.sealing import keyring_file
from kvorum.sealing.master_key import FileSource


@pytest.fixture
def port() -> int:
    return free_port(3)


class Cluster:
    """A running `kvorum up -o json`."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.pids: dict[str, int] = {}

    def next(self, kind: str) -> dict[str, Any]:
        """The next event of that kind; those before it are passed over."""
        while True:
            event: dict[str, Any] = json.loads(self.program.line())
            if event["event"] == "ready":
                self.pids[event["node"]] = event["pid"]
            if event["event"] == kind:
                return event

    def stop(self) -> None:
        assert self.program.stopped() == 0
        assert self.program.errors == []
        assert not any(map(is_running, self.pids.values()))


@contextmanager
def up(*words: str | int | Path) -> Iterator[Cluster]:
    with kvorum("up", "-o", "json", *words) as program:
        cluster = Cluster(program)
        cluster.next("cluster_ready")
        yield cluster


def client(port: int) -> Client:
    return connect(f"kvorum://127.0.0.1:{port}")


def test_a_cluster_heals_stops_and_has_its_data_again(tmp_path: Path, port: int) -> None:
    directory = tmp_path / "D"
    entries = {f"schlüssel {i}": i for i in range(200)}
    with up("-n", 3, "--data-dir", directory, "--port", port) as cluster:
        assert sorted(cluster.pids) == ["n1", "n2", "n3"]
        with client(port) as store:
            store.set_many(entries)
        killed = cluster.pids["n2"]
        os.kill(killed, signal.SIGKILL)
        died = cluster.next("died")
        assert (died["node"], died["pid"], died["reason"]) == ("n2", killed, "ended by SIGKILL")
        ready = cluster.next("ready")
        assert (ready["node"], ready["http"]) == ("n2", f"127.0.0.1:{port + 1}")
        assert ready["pid"] != killed
        assert ready["seconds"] == round(ready["seconds"], 3)
        with client(port + 1) as store:
            assert store.get_many(entries) == entries
        cluster.stop()
    with up("--data-dir", directory) as cluster:
        with client(port + 2) as store:
            assert store.get_many(entries) == entries
        cluster.stop()


def test_it_files_what_was_asked_for(tmp_path: Path, port: int) -> None:
    directory = tmp_path / "D"
    words = ("--replicas", 2, "--read", 1, "--write", 2)
    with up("-n", 3, "--data-dir", directory, "--port", port, *words) as cluster:
        cluster.stop()
    topology = load_topology(directory / "cluster.toml", environ={})
    settings = topology.namespaces["default"]
    assert (settings.replicas, settings.read, settings.write) == (2, 1, 2)
    assert [node.http for node in topology.nodes] == [f"127.0.0.1:{port + i}" for i in range(3)]
    assert stat.S_IMODE((directory / "cluster.secret").stat().st_mode) == 0o600
    assert len(topology.secret) >= 32


def test_for_people_it_prints_a_line_for_each_change(tmp_path: Path) -> None:
    port = free_port(1)
    with kvorum("up", "-n", 1, "--data-dir", tmp_path / "D", "--port", port) as program:
        ready, all_ready = program.line(), program.line()
        assert ready.startswith(f"n1 ready: http://127.0.0.1:{port}, ")
        assert f"kvorum://127.0.0.1:{port}" in all_ready
        program.send(signal.SIGINT)
        assert program.line() == "n1 stopped"
        assert program.ended() == 0


def test_on_a_terminal_a_table_is_kept_up_to_date(tmp_path: Path) -> None:
    port = free_port(1)
    words = ["up", "-n", "1", "--data-dir", str(tmp_path / "D"), "--port", str(port)]
    environ = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "120"}
    row = re.compile(rf"n1 +up +http://127\.0\.0\.1:{port} +\d+ +0 +0 +0 +0 +0")
    ours, theirs = os.openpty()
    shown = ""

    def has_row_with_rates() -> bool:
        nonlocal shown
        shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(ours, 65536).decode())
        return row.search(shown) is not None

    with subprocess.Popen(
        [sys.executable, "-m", "kvorum", *words], stdout=theirs, env=environ
    ) as program:
        os.close(theirs)
        try:
            eventually(has_row_with_rates, "a row with rates")
            assert re.search("node +state +address +pid +writes/s +reads/s", shown)
            program.send_signal(signal.SIGTERM)
            assert program.wait(DEADLINE_S) == 0
        finally:
            program.kill()
            os.close(ours)


def test_the_table_shows_what_a_node_cannot_read() -> None:
    (spec,) = local_topology(1, 7400).nodes
    console = Console(width=120, file=io.StringIO(), force_terminal=False)
    row = up_table.Row(spec, damaged=1234, damaged_files=2)
    console.print(up_table.table([row], 120))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "damaged" in shown
    assert "1,234 + 2 files" in shown


async def _rows_of(url: str) -> up_table.Row:
    (spec,) = local_topology(1, 7400).nodes
    row = up_table.Row(msgspec.structs.replace(spec, http=url.removeprefix("kvorum://")))
    gauge = up_table._Gauge(row, url)
    await gauge.read()
    await gauge.close()
    return row


def test_the_counts_of_damage_are_those_of_status(store: StoreDouble) -> None:
    quarantine = {"damaged": 3, "more": 4, "partitions": {"7": 3}}
    store.documents["/status"] = {
        "counters": {"writes": 1, "reads": 2},
        "storage": {"quarantine": quarantine, "damaged_files": {"000012.sst": "?"}},
    }
    row = asyncio.run(_rows_of(store.url))
    assert (row.damaged, row.damaged_files) == (7, 1)


def test_a_narrow_table_leaves_out_columns_and_cuts_none() -> None:
    (spec,) = local_topology(1, 7400).nodes
    long = msgspec.structs.replace(spec, name="a-node-of-long-name")
    for room in (60, 80, 120):
        console = Console(width=room, file=io.StringIO(), force_terminal=False)
        console.print(up_table.table([up_table.Row(long)], room))
        assert isinstance(console.file, io.StringIO)
        header, row = console.file.getvalue().splitlines()
        assert (long.name, f"http://{long.http}") == (row.split()[0], row.split()[2])
        assert ("restarts" in header) == (room == 120)
        assert "…" not in header + row


def test_its_nodes_end_with_it_even_if_it_is_killed(tmp_path: Path, port: int) -> None:
    with up("-n", 3, "--data-dir", tmp_path / "D", "--port", port) as cluster:
        cluster.program.send(signal.SIGKILL)
        cluster.program.ended()
        eventually(lambda: not any(map(is_running, cluster.pids.values())), "the nodes to end")
    for name in ("n1", "n2", "n3"):
        identity = json.loads((tmp_path / "D" / name / "node.json").read_text())
        assert identity["state"]["clean"]


def test_a_second_signal_does_not_wait_for_a_node_that_hangs(tmp_path: Path, port: int) -> None:
    with up("-n", 3, "--data-dir", tmp_path / "D", "--port", port) as cluster:
        os.kill(cluster.pids["n1"], signal.SIGSTOP)
        cluster.program.send(signal.SIGINT)
        assert {cluster.next("stopped")["node"] for _ in range(2)} == {"n2", "n3"}
        cluster.program.send(signal.SIGINT)
        assert cluster.program.ended() == ExitCode.INTERRUPTED
        eventually(lambda: not is_running(cluster.pids["n1"]), "the node that hangs to end")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-n", "5"], ("--nodes 5", "has 3")),
        (["--port", "9000"], ("--port 9000",)),
        (["--replicas", "2"], ("--replicas 2", "has 3")),
        (["--read", "1"], ("--read 1", "has 2")),
        (["--write", "3"], ("--write 3", "has 2")),
    ],
)
def test_another_cluster_than_the_one_that_is_there_is_refused(
    tmp_path: Path, words: list[str], said: tuple[str, ...]
) -> None:
    Layout(tmp_path).create(local_topology(3, 8000))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    status, line = refusal("up", "--data-dir", tmp_path, *words)
    assert status == ExitCode.CONFIG
    for part in (*said, "cluster.toml", "--data-dir"):
        assert part in line
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_directory_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    status, line = refusal("up", "--data-dir", tmp_path)
    assert status == ExitCode.CONFIG
    assert "letter.txt" in line
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("offset", [1, 102])
def test_a_taken_port_is_refused_before_anything_starts(
    tmp_path: Path, port: int, offset: int
) -> None:
    directory = tmp_path / "D"
    with socket.create_server(("127.0.0.1", port + offset)):
        status, line = refusal("up", "-n", 3, "--data-dir", directory, "--port", port)
    assert status == ExitCode.CONFIG
    assert f"127.0.0.1:{port + offset}" in line
    assert not directory.exists()


def test_more_replicas_than_nodes_are_refused(tmp_path: Path, port: int) -> None:
    directory = tmp_path / "D"
    words = ("-n", 2, "--replicas", 3, "--port", port)
    status, line = refusal("up", "--data-dir", directory, *words)
    assert status == ExitCode.CONFIG
    assert "the cluster has 2" in line
    assert not directory.exists()


def test_a_node_that_cannot_start_ends_it_with_the_reason(tmp_path: Path, port: int) -> None:
    directory = tmp_path / "D"
    with up("-n", 3, "--data-dir", directory, "--port", port) as cluster:
        cluster.stop()
    (directory / "n2" / "node.json").write_text("{}")
    with kvorum("up", "--data-dir", directory) as program:
        assert program.ended() == ExitCode.CONFIG
        [line] = [line for line in program.errors if line.startswith("error: ")]
    assert "n2 did not start" in line
    assert str(directory / "n2" / "node.json") in line
    # Nothing of it is left running: all of it can start once the fault is mended.
    (directory / "n2" / "node.json").unlink()
    (directory / "n2" / "rocks").rename(tmp_path / "set aside")
    with up("--data-dir", directory) as cluster:
        cluster.stop()


def test_all_nodes_share_the_master_key_they_are_given(tmp_path: Path, port: int) -> None:
    directory, key = tmp_path / "D", tmp_path / "key"
    words = ("--data-dir", directory, "--master-key", f"file:{key}")
    with up("-n", 3, "--port", port, *words) as cluster:
        cluster.stop()
    master = FileSource(key).load()
    nodes = [Layout(directory).node_directory(f"n{i}") for i in (1, 2, 3)]
    assert [keyring_file.read(node / "keys.json").master_key for node in nodes] == [master.id] * 3
    assert not any((node / "master.key").exists() for node in nodes)
    with up(*words) as cluster:
        cluster.stop()


def test_each_node_has_a_master_key_of_its_own_by_default(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "D")
    with up("-n", 2, "--data-dir", layout.directory, "--port", free_port(2)) as cluster:
        cluster.stop()
    keys = {FileSource(layout.node_directory(f"n{i}") / "master.key").load().id for i in (1, 2)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--memory", "1MB"), "a node takes at least 32 MB"),
        (("--memory", "much"), "'much' is no size"),
        (("--master-key", "env:KVORUM_NO_SUCH_KEY"), "KVORUM_NO_SUCH_KEY"),
        (("--master-key", "file:/nonexist/x"), "no such directory"),
        (("--master-key", "command:false"), "exit status 1"),
    ],
)
def test_what_no_node_can_start_with_is_refused_before_anything_is_made(
    tmp_path: Path, port: int, words: tuple[str, ...], said: str
) -> None:
    directory = tmp_path / "D"
    status, line = refusal("up", "-n", 3, "--data-dir", directory, "--port", port, *words)
    assert status == ExitCode.CONFIG
    assert said in line
    assert "did not start" not in line
    assert not directory.exists()


def test_a_master_key_can_be_made_beside_the_data_and_is_missed_when_it_is_gone(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "D"
    words = ("--data-dir", directory, "--master-key", f"file:{directory / 'key'}")
    with up("-n", 1, "--port", free_port(1), *words) as cluster:
        cluster.stop()
    (directory / "key").rename(tmp_path / "elsewhere")
    status, line = refusal("up", *words)
    assert status == ExitCode.CONFIG
    assert str(directory / "key") in line
    assert "did not start" not in line


def test_what_all_nodes_say_is_shown_once(tmp_path: Path, port: int) -> None:
    directory, key, other = tmp_path / "D", tmp_path / "key", tmp_path / "other"
    words = ("up", "--data-dir", directory, "--master-key")
    with up("-n", 3, "--port", port, *words[1:], f"file:{key}") as cluster:
        cluster.stop()
    FileSource(other).create_if_missing()
    with kvorum(*words, f"file:{other}") as program:
        assert program.ended() == ExitCode.CONFIG
        said = list(program.lines())
    assert len([line for line in said if "was sealed with master key" in line]) == 1
    assert len(program.errors) == 1


def test_a_master_key_that_is_no_source_is_refused_before_any_node_starts(tmp_path: Path) -> None:
    directory = tmp_path / "D"
    status, line = refusal("up", "--data-dir", directory, "--master-key", "hunter2")
    assert status == ExitCode.CONFIG
    assert "file:PATH, env:NAME or command:PROGRAM ARGUMENTS" in line
    assert "hunter2" not in line
    assert not directory.exists()

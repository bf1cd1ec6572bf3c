"""`kvorum serve`, as a process: it serves, it stops, it keeps what it has acknowledged."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from kit.program import kvorum, refusal
from kit.waiting import eventually

from kvorum import connect
from kvorum.certificates.authority import Authority
from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.cli.servers.logs import configure_logging
from kvorum.cli.signals import stop_signals, unless
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.local_store import LocalStore
from kvorum.model.errors import StorageError
from kvorum.model.topology import Topology
from kvorum.model.topology_toml import dump_topology
from kvorum.node.node import Node


@pytest.fixture
def port() -> int:
    return free_port(1)


def put(port: int, key: str, value: object) -> None:
    with connect(f"kvorum://127.0.0.1:{port}") as store:
        store.set(key, value)


def get(port: int, key: str) -> object:
    with connect(f"kvorum://127.0.0.1:{port}") as store:
        return store.get(key)


def test_it_says_when_it_is_ready_and_then_serves(tmp_path: Path, port: int) -> None:
    with kvorum("serve", "--data-dir", tmp_path, "--port", port) as node:
        assert node.line() == f"n1 ready: http://127.0.0.1:{port}, data {tmp_path}"
        put(port, "straße", [1, "ü"])
        assert get(port, "straße") == [1, "ü"]


def status_for(port: int, host: str) -> int:
    """Of a read by a program that calls the server `host`."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/status", headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_answers_to_its_own_names_only(tmp_path: Path, port: int) -> None:
    names = ("--allow-host", "kv.example", "--allow-host", "Other.Example")
    with kvorum("serve", "--data-dir", tmp_path, "--port", port, *names) as node:
        node.line()
        own = (f"127.0.0.1:{port}", "localhost", "kv.example:80", "other.example")
        assert [status_for(port, name) for name in own] == [200] * 4
        assert [status_for(port, name) for name in ("evil.example", "example")] == [421] * 2


def test_it_answers_to_the_hosts_of_the_cluster_file(tmp_path: Path, port: int) -> None:
    topology = local_topology(2, port)
    first, second = topology.nodes
    nodes = (first, msgspec.structs.replace(second, http=f"n2.example:{port}"))
    named = msgspec.structs.replace(topology, nodes=nodes)
    file = tmp_path / "cluster.toml"
    file.write_text(dump_topology(named))
    arguments = ("--cluster", file, "--node", "n1", "--data-dir", tmp_path / "data")
    with kvorum("serve", *arguments) as node:
        node.line()
        assert [status_for(port, f"n{i}.example") for i in (2, 3)] == [200, 421]


@pytest.mark.parametrize("name", ["", "kv.example:7400", "http://kv.example", "a b", "*"])
def test_a_host_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--data-dir", str(tmp_path), "--allow-host", name])
    assert result.exit_code == ExitCode.USAGE
    assert "is not a host name" in result.output


@pytest.mark.skipif(sys.platform != "linux", reason="a policy of Linux")
def test_it_leaves_whoever_runs_the_processor(tmp_path: Path, port: int) -> None:
    with kvorum("serve", "--data-dir", tmp_path, "--port", port) as node:
        node.line()
        assert os.sched_getscheduler(node.pid) == os.SCHED_BATCH


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it_cleanly_and_the_data_stays(
    tmp_path: Path, port: int, number: signal.Signals
) -> None:
    with kvorum("serve", "--data-dir", tmp_path, "--port", port) as node:
        node.line()
        put(port, "a", 1)
        node.send(number)
        assert node.ended() == 0
        assert json.loads((tmp_path / "node.json").read_text())["state"]["clean"]
    with kvorum("serve", "--data-dir", tmp_path, "--port", port) as node:
        node.line()
        assert get(port, "a") == 1


def test_what_it_acknowledged_survives_sigkill(tmp_path: Path, port: int) -> None:
    with kvorum("serve", "--data-dir", tmp_path, "--port", port) as node:
        node.line()
        put(port, "a", 1)
        node.send(signal.SIGKILL)
        assert node.ended() == -signal.SIGKILL
    with kvorum("serve", "--data-dir", tmp_path, "--port", port) as node:
        node.line()
        assert get(port, "a") == 1


def test_a_taken_port_is_refused_and_nothing_is_made(tmp_path: Path, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        status, line = refusal("serve", "--data-dir", tmp_path / "d", "--port", port)
    assert status == ExitCode.CONFIG
    assert f"127.0.0.1:{port} (n1) is taken" in line
    assert "--port" in line
    assert not (tmp_path / "d").exists()


def test_so_is_a_taken_port_for_peers(tmp_path: Path, port: int) -> None:
    file = tmp_path / "cluster.toml"
    topology = local_topology(3, port)
    file.write_text(dump_topology(topology))
    with socket.create_server(("127.0.0.1", port + 102)):
        words = ("--cluster", file, "--node", "n3", "--data-dir", tmp_path / "d")
        status, line = refusal("serve", *words)
    assert status == ExitCode.CONFIG
    assert f"127.0.0.1:{port + 102} (n3) is taken" in line
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("size", "said"), [("lots", "512MB"), ("16MB", "at least 32 MB"), ("-1GB", "512MB")]
)
def test_memory_that_makes_no_sense_is_refused(tmp_path: Path, size: str, said: str) -> None:
    result = CliRunner().invoke(
        main, ["serve", "--data-dir", str(tmp_path / "d"), f"--memory={size}"]
    )
    assert result.exit_code == ExitCode.CONFIG
    assert said in result.stderr
    assert not (tmp_path / "d").exists()


def test_a_second_process_on_the_same_directory_is_refused(tmp_path: Path, port: int) -> None:
    with kvorum("serve", "--data-dir", tmp_path, "--port", port) as node:
        node.line()
        status, line = refusal("serve", "--data-dir", tmp_path, "--port", free_port(1))
        assert status == ExitCode.CONFIG
        assert str(node.pid) in line
        assert "another data directory" in line
        put(port, "still", "served")


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_with_or_without_brackets(tmp_path: Path, port: int, host: str) -> None:
    with kvorum("serve", "--data-dir", tmp_path, "--host", host, "--port", port) as node:
        assert f"http://[::1]:{port}" in node.line()
        assert node.stopped() == 0


def test_what_begins_with_a_bracket_is_an_ipv6_address(tmp_path: Path, port: int) -> None:
    words = ("--data-dir", tmp_path / "d", "--host", "[127.0.0.1]", "--port", port)
    status, _ = refusal("serve", *words)
    assert status == ExitCode.CONFIG
    assert not (tmp_path / "d").exists()


def test_a_signal_while_it_starts_stops_it_cleanly(tmp_path: Path, port: int) -> None:
    for start in range(3):
        with kvorum("serve", "--data-dir", tmp_path / str(start), "--port", port) as node:
            eventually((tmp_path / str(start) / "node.json").exists, "its identity")
            assert node.stopped() == 0
            assert node.errors == []


def test_the_end_of_unlocking_comes_too_late_for_a_start_that_was_cancelled(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked: list[Callable[[None], object]] = []
    monkeypatch.setattr(LocalStore, "unlock", lambda _, done: unlocked.append(done))

    async def scene() -> None:
        node = Node(Topology.single(http=f"127.0.0.1:{port}"), "n1", tmp_path)
        starting = asyncio.create_task(node.start())
        while not unlocked:
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait({starting})
        assert starting.cancelled()
        unlocked[0](None)

    asyncio.run(scene())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "store.example"])
def test_others_than_this_machine_are_not_let_in(tmp_path: Path, host: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--data-dir", str(tmp_path / "d"), "--host", host])
    assert result.exit_code == ExitCode.CONFIG
    assert result.stderr.count("\n") == 1
    for part in (host, "--certs", "kvorum certs", "--insecure"):
        assert part in result.stderr
    assert not (tmp_path / "d").exists()


def test_unless_the_operator_insists(tmp_path: Path, port: int) -> None:
    # The port is taken, so that getting as far as binding can be told from serving.
    with socket.create_server(("127.0.0.1", port)):
        words = ("--host", "0.0.0.0", "--port", port, "--insecure")
        status, line = refusal("serve", "--data-dir", tmp_path, *words)
    assert status == ExitCode.CONFIG
    assert "taken" in line


def test_a_member_of_a_file_that_others_could_reach_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    text = dump_topology(local_topology(3, 7400)).replace("127.0.0.1:7501", "192.0.2.1:7501")
    file.write_text(text)
    words = ["serve", "--data-dir", str(tmp_path / "d"), "--cluster", str(file), "--node"]
    result = CliRunner().invoke(main, [*words, "n2"])
    assert result.exit_code == ExitCode.CONFIG
    assert "192.0.2.1:7501" in result.stderr


def test_a_cluster_that_others_could_reach_needs_a_secret_of_its_own(
    tmp_path: Path, port: int
) -> None:
    """One that follows from the cluster's name is refused, whatever the operator insists on."""
    file = tmp_path / "cluster.toml"
    text = dump_topology(local_topology(3, port)).replace(f"127.0.0.1:{port + 101}", "192.0.2.1:7")
    file.write_text(text)
    # The port is taken, so that getting as far as binding can be told from serving.
    with socket.create_server(("127.0.0.1", port)):
        directory = tmp_path / "d"
        words = ("serve", "--data-dir", directory, "--cluster", file, "--node", "n1")
        status, line = refusal(*words, "--insecure")
        assert status == ExitCode.CONFIG
        for part in ("has no secret", "192.0.2.1:7 of n2", "openssl rand", "cluster.secret"):
            assert part in line
        secret = tmp_path / "secret"
        secret.write_text("0123456789abcdef")
        secret.chmod(0o600)
        status, line = refusal(*words, "--insecure", "--secret-file", secret)
        assert status == ExitCode.CONFIG
        assert "taken" in line
        secret.rename(tmp_path / "cluster.secret")
        status, line = refusal(*words, "--insecure")
        assert "taken" in line
    assert not directory.exists()


@pytest.mark.parametrize(
    ("text", "words", "status", "said"),
    [
        ("cluster = 5", ["--node", "n1"], ExitCode.CONFIG, "cluster.toml"),
        (None, ["--node", "n1"], ExitCode.CONFIG, "cluster.toml"),
        (dump_topology(local_topology(3, 7400)), ["--node", "n9"], ExitCode.CONFIG, "n1, n2, n3"),
        (dump_topology(local_topology(3, 7400)), [], ExitCode.USAGE, "n1, n2, n3"),
        (dump_topology(local_topology(3, 7400)), ["--port", "1"], ExitCode.USAGE, "--port"),
        (dump_topology(local_topology(3, 7400)), ["--host", "::1"], ExitCode.USAGE, "--host"),
    ],
)
def test_a_wrong_cluster_is_refused(
    tmp_path: Path, text: str | None, words: list[str], status: ExitCode, said: str
) -> None:
    file = tmp_path / "cluster.toml"
    if text is not None:
        file.write_text(text)
    data = str(tmp_path / "d")
    result = CliRunner().invoke(main, ["serve", "--data-dir", data, "--cluster", str(file), *words])
    assert result.exit_code == status
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert not Path(data).exists()


def test_a_name_without_a_cluster_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "--data-dir", str(tmp_path), "--node", "n1"])
    assert result.exit_code == ExitCode.USAGE
    assert "--cluster" in result.stderr


def test_it_ends_with_whoever_holds_its_stdin(tmp_path: Path, port: int) -> None:
    words = ("--data-dir", tmp_path, "--port", port, "--stop-on-stdin-close")
    with kvorum("serve", *words) as node:
        node.line()
        node.close_stdin()
        assert node.ended() == 0


def test_it_ends_with_the_reason_when_its_store_fails(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailingNode:
        stopped = False

        def __init__(self, *_: object) -> None: ...

        async def start(self) -> None: ...

        async def failed(self) -> StorageError:
            return StorageError("The log cannot be synced: no space left.")

        async def stop(self, _grace_s: float) -> None:
            FailingNode.stopped = True

    monkeypatch.setattr("kvorum.cli.servers.serve.Node", FailingNode)
    result = CliRunner().invoke(main, ["serve", "--data-dir", str(tmp_path), "--port", str(port)])
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "no space left" in result.stderr
    assert FailingNode.stopped


# Signals


def test_the_first_signal_asks_and_the_second_insists() -> None:
    insisted: list[bool] = []

    async def scene() -> None:
        with stop_signals(again=lambda: insisted.append(True)) as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(stop.wait(), 10)
            assert not insisted
            os.kill(os.getpid(), signal.SIGTERM)
            while not insisted:
                await asyncio.sleep(0)

    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        asyncio.run(scene())
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_work_is_cancelled_and_over_before_stopping_goes_on() -> None:
    story: list[str] = []

    async def work() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            story.append("cleaned up")
        return "done"

    async def scene() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_soon(stop.set)
        assert await unless(stop, work()) is None
        story.append("stopped")

    asyncio.run(scene())
    assert story == ["cleaned up", "stopped"]


# Logs


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_logs_as_json_are_one_object_a_line(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("json", "info")
    logging.getLogger("kvorum.test").debug("not this")
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        logging.getLogger("kvorum.test").exception("two\nlines of %s", "ü")
    [line] = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert logged["message"] == "two\nlines of ü"
    assert logged["level"] == "error"
    assert logged["logger"] == "kvorum.test"
    assert logged["time"].endswith("+00:00")
    assert "ValueError: broken" in logged["error"]


def test_logs_as_text_name_time_level_and_logger(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("text", "warning")
    logging.getLogger("kvorum.test").info("not this")
    logging.getLogger("kvorum.test").warning("but this")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(" WARNING kvorum.test: but this")


def test_insecure_does_not_go_with_certificates(tmp_path: Path) -> None:
    data, certs = tmp_path / "data", tmp_path / "certs"
    Authority.create(certs, "shop").issue_node("n1", ["127.0.0.1"])
    status, line = refusal("serve", "--data-dir", data, "--certs", certs, "--insecure")
    assert (status, data.exists()) == (2, False)
    assert "--insecure is for a node without --certs" in line


def test_a_certificate_that_is_no_good_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    data, certs = tmp_path / "data", tmp_path / "certs"
    Authority.create(certs, "shop").issue_node("n1", ["127.0.0.1"])
    (certs / "n1.crt").write_text("nonsense")
    status, line = refusal("serve", "--data-dir", data, "--certs", certs)
    assert (status, data.exists()) == (5, False)
    assert "n1.crt holds no certificate" in line

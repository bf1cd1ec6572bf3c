"""The client and the commands against a real node, each way a client meets one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import kvorum
from kvorum.cli import main
from kvorum.client.synchronous import Client
from kvorum.model.errors import (
    InvalidKey,
    InvalidValue,
    InvalidVersion,
    KvorumError,
    NamespaceNotFound,
    NotFound,
    PreconditionFailed,
    RequestError,
    UnavailableError,
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    directory = str(tmp_path_factory.mktemp("node"))
    command = [sys.executable, "-m", "kvorum", "serve", "--data-dir", directory]
    output = subprocess.DEVNULL
    with subprocess.Popen([*command, "--port", str(port)], stdout=output, stderr=output) as node:
        try:
            wait_for(f"127.0.0.1:{port}")
            yield f"127.0.0.1:{port}"
        finally:
            node.send_signal(signal.SIGTERM)
            node.wait(30)


def wait_for(address: str) -> None:
    deadline = time.monotonic() + 30
    with kvorum.connect(f"kvorum://{address}") as client:
        while True:
            try:
                client.status(timeout=1.0)
            except UnavailableError:
                assert time.monotonic() < deadline, "the node does not come up"
            else:
                return


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with kvorum.connect(f"kvorum://{address}") as client:
        yield client


def command(address: str, *words: str | Path) -> Result:
    env = {"KVORUM_SERVER": address}
    return CliRunner().invoke(main, [str(word) for word in words], env=env)


@pytest.mark.parametrize(
    "value", [None, 10**39, -(10**40), 1.5, "ü\U0001f600\n", [1, {"a": []}], b"\x00\xff", b"", ""]
)
def test_a_value_comes_back(client: Client, value: object) -> None:
    written = client.set("value/ü?%2F", value)
    read = client.get_entry("value/ü?%2F")
    assert (read.value, read.version, read.clock, read.hash) == (
        value,
        written.version,
        written.clock,
        written.hash,
    )
    deleted = client.delete("value/ü?%2F")
    assert (deleted.value, deleted.version) == (value, written.version)
    with pytest.raises(NotFound):
        client.get_entry("value/ü?%2F")


def test_siblings_and_their_end(client: Client) -> None:
    base = client.set("cart", []).version
    client.set("cart", ["book"], version=base)
    client.set("cart", ["pen"], version=base)
    entry = client.get_entry("cart")
    assert sorted(s.value[0] for s in entry.siblings) == ["book", "pen"]
    assert client.set("cart", ["book", "pen"], version=entry.version).siblings == ()


def test_conditions(client: Client) -> None:
    assert client.set("lock", 1, if_absent=True).created
    with pytest.raises(PreconditionFailed):
        client.set("lock", 2, if_absent=True)
    version = client.get_entry("lock").version
    assert version is not None
    client.set("lock", 3, if_version=version)
    with pytest.raises(PreconditionFailed):
        client.delete("lock", if_version=version)
    assert client.get("lock") == 3


def test_what_the_node_refuses(client: Client) -> None:
    with pytest.raises(NamespaceNotFound):
        client.get("k", namespace="none")
    with pytest.raises(InvalidVersion):
        client.set("k", 1, version="forged")
    with pytest.raises(InvalidValue):
        client.set("k", "x" * (1 << 20))
    with pytest.raises(RequestError, match="1 to 1"):
        client.set("k", 1, w=9)


def test_many_entries(client: Client) -> None:
    pairs = [(f"many{n}", {"n": n}) for n in range(2500)]
    results = client.set_many(pairs)
    assert all(isinstance(result, kvorum.Entry) and result.created for result in results)
    assert client.get_many(key for key, _ in pairs) == dict(pairs)
    assert client.get_many(["many0", "none"]) == {"many0": {"n": 0}}


def test_a_list_with_bad_items_and_more_than_one_answer_can_hold(client: Client) -> None:
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    big = "x" * 1_000_000
    large = {f"big{n}": big[n:] for n in range(40)}
    results = client.set_many({"deep": deep, **large, "": 1}, timeout=60)
    assert [type(r) for r in results if isinstance(r, KvorumError)] == [InvalidValue, InvalidKey]
    assert len(client.get_many(large, timeout=60)) == 40


def test_a_scan_sees_every_entry(client: Client) -> None:
    client.set_many((f"scan{n}", n) for n in range(1200))
    seen = {entry.key: entry.value for entry in client.scan() if entry.key.startswith("scan")}
    assert seen == {f"scan{n}": n for n in range(1200)}


def test_commands(address: str) -> None:
    assert command(address, "set", "cli/ü", "1.50").stdout == "created cli/ü\n"
    assert command(address, "get", "cli/ü").stdout == "1.50\n"
    shown = json.loads(command(address, "get", "cli/ü", "-o", "json").stdout)
    assert command(address, "set", "cli/ü", "2", "--if-version", shown["version"]).exit_code == 0
    assert command(address, "set", "cli/ü", "3", "--if-version", shown["version"]).exit_code == 6
    assert command(address, "delete", "cli/ü").exit_code == 0
    assert command(address, "get", "cli/ü").exit_code == 1


def test_what_the_node_tells_of_itself_fits_the_tables(address: str) -> None:
    for words in (["status"], ["ring"], ["locate", "cli/ü"]):
        result = command(address, *words)
        assert (result.exit_code, result.stderr) == (0, ""), words


def test_export_and_import(address: str, tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(f'{{"key": "file{n}", "value": [{n}]}}\n' for n in range(3000)))
    assert command(address, "import", lines).exit_code == 0
    backup = tmp_path / "backup.jsonl"
    assert command(address, "export", backup).exit_code == 0
    assert set(lines.read_text().splitlines()) <= set(backup.read_text().splitlines())
    assert command(address, "import", backup).exit_code == 0

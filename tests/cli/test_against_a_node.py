"""The client and the commands against a real node, each way a client meets one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

import kvorum
from kvorum.cli import main
from kvorum.client.synchronous import Client
from kvorum.documents.data_keys import DataKeys
from kvorum.documents.location import Location
from kvorum.documents.namespaces import NamespaceDocument, NamespaceList
from kvorum.documents.reading import read
from kvorum.documents.ring import Ring
from kvorum.documents.snapshot import SnapshotList
from kvorum.documents.status import Status
from kvorum.documents.storage import Soundness
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


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/status", Status),
        ("/ring", Ring),
        ("/locate/documented", Location),
        ("/snapshots", SnapshotList),
        ("/keys", DataKeys),
        ("/scrub", Soundness),
        ("/namespaces", NamespaceList),
        ("/namespaces/default", NamespaceDocument),
    ],
)
def test_the_node_tells_what_its_documents_say_and_no_more(
    address: str, client: Client, path: str, kind: type[msgspec.Struct]
) -> None:
    client.set("documented", 1)
    with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
        told = json.load(answer)
    assert json.loads(msgspec.json.encode(read(told, kind))) == told


def test_the_node_tells_all_that_its_ring_depends_on(client: Client) -> None:
    client.set("ring", 1)
    told, status = client.ring(), client.status()
    assert {name: told[name] for name in ("node", "cluster", "epoch")} == {
        name: status[name] for name in ("node", "cluster", "epoch")
    }
    assert (told["token_hash"], told["token_seed"]) == ("murmur3", 0)
    assert told["namespaces"] == {"default": {"replicas": 1, "hash_tags": True}}
    [node] = told["nodes"]
    labels = {"name", "http", "peer", "dc", "rack", "host", "weight"}
    assert {name: node[name] for name in labels} == {
        name: status["nodes"][0][name] for name in labels
    }
    assert client.ring() == told


def test_export_and_import(address: str, tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(f'{{"key": "file{n}", "value": [{n}]}}\n' for n in range(3000)))
    assert command(address, "import", lines).exit_code == 0
    backup = tmp_path / "backup.jsonl"
    assert command(address, "export", backup).exit_code == 0
    assert set(lines.read_text().splitlines()) <= set(backup.read_text().splitlines())
    assert command(address, "import", backup).exit_code == 0


def test_bytes_keep_their_content_type_on_every_way(
    address: str, client: Client, tmp_path: Path
) -> None:
    png = kvorum.TypedBytes(b"\x89PNG\r\n\x00\xff", "image/png")
    put = urllib.request.Request(
        f"http://{address}/entry/logo", png, {"Content-Type": "image/png"}, method="PUT"
    )
    urllib.request.urlopen(put).close()
    client.set("copy", client.get("logo"))
    client.set_many({"many": png})
    backup = tmp_path / "typed.jsonl"
    assert command(address, "export", backup).exit_code == 0
    for key in ("logo", "copy", "many"):
        client.delete(key)
    assert command(address, "import", backup).exit_code == 0
    for key in ("logo", "copy", "many"):
        entry = client.get_entry(key)
        assert (entry.value, entry.content_type) == (png, "image/png")
        shown = command(address, "get", key, "-o", "json")
        assert json.loads(shown.output)["content_type"] == "image/png"
        with urllib.request.urlopen(f"http://{address}/entry/{key}?raw=true") as answer:
            assert (answer.read(), answer.headers["Content-Type"]) == (png, "image/png")


def test_all_that_begins_with_a_prefix_is_deleted_page_by_page(
    address: str, client: Client
) -> None:
    client.set_many({f"{{doomed}}:{n}": n for n in range(1500)} | {"{doomed}": 1})
    path = f"http://{address}/entries?prefix=%7Bdoomed%7D:&confirm=%7Bdoomed%7D:"
    deleted, calls, cursor = 0, 0, ""
    while calls == 0 or cursor:
        query = path + (f"&cursor={cursor}" if cursor else "")
        with urllib.request.urlopen(urllib.request.Request(query, method="DELETE")) as answer:
            page = json.load(answer)
        deleted, calls, cursor = deleted + page["deleted"], calls + 1, page["cursor"]
    assert (deleted, calls > 1) == (1500, True)
    keys = [entry.key for entry in client.scan()]
    assert [key for key in keys if key.startswith("{doomed}")] == ["{doomed}"]


# Lifetimes


def test_an_entry_lives_as_long_as_it_is_told_to(client: Client) -> None:
    entry = client.set("mortal", 1, ttl=1)
    assert entry.expires_at is not None
    # The clock is read once for the lifetime and once for the dot.
    assert entry.clock[0].timestamp - entry.expires_at + 1000 in range(1000)
    read = client.get_entry("mortal")
    assert read.expires_at == entry.expires_at
    deadline = time.monotonic() + 30
    while client.get("mortal") is not None:
        assert time.monotonic() < deadline, "it does not expire"
        time.sleep(0.05)
    assert time.time() * 1000 >= entry.expires_at
    assert "mortal" not in [entry.key for entry in client.scan()]
    with pytest.raises(NotFound):
        client.touch("mortal", 60)
    assert client.set("mortal", 2, if_absent=True).created


def test_a_touch_gives_another_lifetime_and_keeps_the_value(client: Client) -> None:
    before = client.set("touched", {"a": 1}, ttl=600)
    expires_at = client.touch("touched", 1200)
    assert before.expires_at is not None
    assert expires_at is not None
    assert expires_at >= before.expires_at + 600_000
    after = client.get_entry("touched")
    assert (after.value, after.expires_at) == ({"a": 1}, expires_at)
    assert client.touch("touched", 0, if_version=after.version) is None
    assert client.get_entry("touched").expires_at is None
    with pytest.raises(PreconditionFailed):
        client.touch("touched", 5, if_version=after.version)


def test_a_list_has_one_lifetime_and_each_entry_its_moment(client: Client) -> None:
    moment = int(time.time() * 1000) + 500_000
    for result in client.set_many({"m1": 1, "m2": 2}, ttl=500):
        assert isinstance(result, kvorum.Entry)
        assert result.expires_at is not None
    assert client.set("m3", 3, expires_at=moment).expires_at == moment


@pytest.mark.parametrize("ttl", [-1, 100 * 365 * 86_400 + 1, 10**30])
def test_a_lifetime_out_of_range_changes_nothing(client: Client, ttl: int) -> None:
    before = client.set("steady", 1)
    for ask in (lambda: client.set("steady", 2, ttl=ttl), lambda: client.touch("steady", ttl)):
        with pytest.raises(RequestError, match="A ttl is 1 to"):
            ask()
    with pytest.raises(RequestError):
        client.set("steady", 2, ttl=5, expires_at=5)
    with pytest.raises(RequestError, match="after now"):
        client.set("steady", 2, expires_at=5)
    assert client.get_entry("steady").version == before.version


def test_the_commands_know_lifetimes(address: str) -> None:
    assert command(address, "set", "shortly", "1", "--ttl", "600").exit_code == 0
    assert "expires" in command(address, "get", "shortly", "--all").stdout
    shown = json.loads(command(address, "get", "shortly", "-o", "json").stdout)
    touched = json.loads(command(address, "touch", "shortly", "900", "-o", "json").stdout)
    assert touched["expires_at"] >= shown["expires_at"] + 300_000
    assert "shortly expires 2" in command(address, "touch", "shortly", "900").stdout
    assert command(address, "touch", "shortly", "0").stdout == "shortly does not expire\n"
    assert "expires" not in command(address, "get", "shortly", "--all").stdout.split("value")[0]
    assert command(address, "touch", "nothing", "9").exit_code == 1
    assert command(address, "set", "shortly", "1", "--ttl", "-1").exit_code == 2


def test_an_export_keeps_the_moment_and_an_import_leaves_out_what_is_past(
    address: str, tmp_path: Path
) -> None:
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    now_ms = int(time.time() * 1000)
    lines = [
        {"key": "e1", "value": 1, "metadata": {"expiresAt": now_ms + 600_001}},
        {"key": "e2", "value": 2, "metadata": {"ttl": 600}},
        {"key": "e3", "value": 3, "metadata": {"ttl": None}},
        {"key": "e4", "value": 4, "metadata": {"expiresAt": now_ms - 1}},
        {"key": "e5", "value": 5, "metadata": {"ttl": -1}},
        {
            "key": "e6",
            "value": 6,
            "siblings": [
                {"value": 6, "metadata": {"expiresAt": now_ms + 700_000}},
                {"value": 7, "metadata": {"expiresAt": now_ms - 1}},
                {"value": 8},
            ],
        },
    ]
    here.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = command(address, "import", here, "-o", "json")
    summary = json.loads(done.stdout)
    assert (summary["stored"], summary["rejected"], summary["expired"]) == (4, 1, 1), done.output
    assert done.exit_code == 6
    assert command(address, "export", there).exit_code == 0
    found = {line["key"]: line for line in map(json.loads, there.read_text().splitlines())}
    assert found["e1"]["metadata"] == {"expiresAt": now_ms + 600_001}
    assert found["e2"]["metadata"]["expiresAt"] > now_ms
    assert "metadata" not in found["e3"]
    assert "e4" not in found
    assert [(one["value"], one.get("metadata")) for one in found["e6"]["siblings"]] == [
        (6, {"expiresAt": now_ms + 700_000}),
        (8, None),
    ]
    again = tmp_path / "again.jsonl"
    assert command(address, "import", there).exit_code == 0
    assert command(address, "export", again).exit_code == 0
    second = {line["key"]: line for line in map(json.loads, again.read_text().splitlines())}
    assert second["e1"] == found["e1"]
    assert second["e6"] == found["e6"]


def test_keys_are_listed_and_counted_by_their_prefix(address: str) -> None:
    words = [word for n in range(30) for word in (f"listed:{n}", str(n))]
    assert command(address, "set", *words, "listed:{t}:b", "1", "listed:{t}:a", "2").exit_code == 0
    shown = command(address, "ls", "listed:").stdout.splitlines()
    assert sorted(shown) == sorted([*words[::2], "listed:{t}:a", "listed:{t}:b"])
    assert command(address, "count", "listed:").stdout == "32\n"
    assert command(address, "ls", "listed:{t}:").stdout == "listed:{t}:a\nlisted:{t}:b\n"
    first = command(address, "ls", "listed:", "-n", "7").stdout.splitlines()
    rest = command(address, "ls", "listed:", "--start-after", first[-1]).stdout.splitlines()
    assert first + rest == shown
    long = command(address, "ls", "listed:{t}:", "--long", "-o", "json").stdout.splitlines()
    assert [json.loads(line)["size"] for line in long] == [1, 1]

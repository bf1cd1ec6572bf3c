"""status, ring and locate."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any, Final

import pytest
from click.testing import CliRunner
from kit.http_store import StoreDouble, store_double

from kvorum.cli import main
from kvorum.cli.errors import ExitCode

STATUS: Final[dict[str, Any]] = {
    "cluster": "shop",
    "epoch": 7,
    "node": "n1",
    "version": "0.1.0",
    "uptime_s": 3723.5,
    "nodes": [
        {
            "name": name,
            "http": f"10.0.0.{n}:7400",
            "peer": f"10.0.0.{n}:7500",
            "dc": "east",
            "rack": f"r{n}",
            "host": f"h{n}",
            "weight": 1.5,
            "up": n == 1,
            "self": n == 1,
            "hints_owed": 12 * n,
        }
        for n, name in enumerate(("n1", "n2\x1b[31m"), 1)
    ],
    "namespaces": {"default": {"replicas": 3, "read": 2, "write": 2, "durability": "fsync"}},
    "anti_entropy": {
        "trees_built": True,
        "partitions": 170,
        "compared": 169,
        "oldest_round_ms": 1_700_000_000_000,
        "repaired": 321,
    },
    "counters": {"puts": 5},
}
RING: Final = {
    "node": "n1",
    "cluster": "shop",
    "epoch": 7,
    "token_hash": "murmur3",
    "token_seed": 0,
    "partitions": 256,
    "replicas": 1,
    "namespaces": {"default": {"replicas": 1}},
    "nodes": [
        {
            "name": "n1",
            "http": "10.0.0.1:7400",
            "peer": "10.0.0.1:7500",
            "weight": 1.0,
            "tokens": 64,
            "primary": 90,
            "replica": 166,
            "share": 0.3412,
            "fair_share": 0.3333,
        }
    ],
    "balance": 1.0234,
}
LOCATION: Final = {
    "key": "ü",
    "namespace": "default",
    "token": "00ff" * 8,
    "partition": 137,
    "replicas": [
        {"node": "n3", "up": True, "state": "current", "clock": [["n3", 4, 17], ["n1", 2, 16]]},
        {"node": "n1", "up": False, "state": "unreachable", "clock": None},
    ],
}
CASES: Final[dict[str, tuple[list[str], dict[str, Any], list[str]]]] = {
    "/status": (
        ["status"],
        STATUS,
        [
            *("shop", "epoch 7", "1:02:03", "10.0.0.2:7500", "down", "r2", "1.5", "24", "fsync"),
            *("170", "169", "2023-11-14 22:13:20", "321"),
        ],
    ),
    "/ring": (["ring"], RING, ["256 partitions", "1.023", "64", "90", "166", "34.1%", "33.3%"]),
    "/locate/%C3%BC": (
        ["locate", "ü"],
        LOCATION,
        ["00ff" * 8, "137", "n3:4, n1:2", "current", "unreachable"],
    ),
}


@pytest.mark.parametrize("path", CASES)
def test_people_get_a_table(store: StoreDouble, path: str) -> None:
    words, document, parts = CASES[path]
    store.documents = {path: document}
    result = CliRunner().invoke(main, [*words, "--server", store.address])
    assert result.exit_code == 0, result.stderr
    for part in parts:
        assert part in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("path", CASES)
def test_programs_get_the_document(store: StoreDouble, path: str) -> None:
    words, document, _ = CASES[path]
    store.documents = {path: {**document, "news": 1}}
    result = CliRunner().invoke(main, [*words, "--server", store.address, "-o", "json"])
    assert json.loads(result.stdout) == {**document, "news": 1}


@pytest.mark.parametrize("path", CASES)
def test_a_document_from_another_age_is_an_error(store: StoreDouble, path: str) -> None:
    words, _, _ = CASES[path]
    store.documents = {path: {"nodes": "many"}}
    result = CliRunner().invoke(main, [*words, "--server", store.address])
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert result.stderr.count("\n") == 1


def output_on_terminal(store: StoreDouble, command: str, **environ: str) -> str:
    ours, theirs = os.openpty()
    words = [sys.executable, "-m", "kvorum", command, "--server", store.address]
    environ = {**os.environ, "TERM": "xterm", **environ}
    done = subprocess.run(words, stdout=theirs, env=environ, timeout=60, check=False)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    return shown


def test_a_terminal_gets_colours_unless_it_says_no(store: StoreDouble) -> None:
    store.documents = {"/ring": RING}
    assert "\x1b[" in output_on_terminal(store, "ring", NO_COLOR="")
    assert not re.search(r"\x1b\[3", output_on_terminal(store, "ring", NO_COLOR="1"))


def shown_on_terminal(store: StoreDouble, columns: int) -> list[str]:
    """What `kvorum status` shows on a terminal of that width, line by line."""
    shown = output_on_terminal(store, "status", NO_COLOR="1", COLUMNS=str(columns))
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()


LONG_NAME: Final = "a-node-with-a-rather-long-name"
LONG_STATUS: Final = {
    **STATUS,
    "node": LONG_NAME,
    "nodes": [
        {**node, "name": name, "host": "h" * 20, "since_ms": 1_700_000_000_000}
        for node, name in zip(STATUS["nodes"], (LONG_NAME, "n2"), strict=True)
    ],
}


@pytest.mark.parametrize("columns", [60, 80, 120, 200, 300])
def test_names_and_addresses_are_whole_on_any_terminal(store: StoreDouble, columns: int) -> None:
    store.documents = {"/status": LONG_STATUS}
    lines = shown_on_terminal(store, columns)
    words = " ".join(lines).split()
    for text in ("state", "since", "weight", "10.0.0.1:7400", "10.0.0.2:7500", LONG_NAME, "h" * 20):
        assert text in words
    assert max(map(len, lines[1:])) <= columns
    assert not any("…" in line for line in lines)
    # Columns that stand below the others say whose they are.
    assert any(line.startswith(LONG_NAME) and "h" * 20 in line for line in lines)


def test_a_terminal_with_room_gets_one_table(store: StoreDouble) -> None:
    store.documents = {"/status": LONG_STATUS}
    (row,) = (line for line in shown_on_terminal(store, 300) if line.startswith(LONG_NAME))
    assert "10.0.0.1:7500" in row
    assert "h" * 20 in row


def test_without_a_terminal_nothing_is_folded(store: StoreDouble) -> None:
    name = "n" * 400
    store.documents = {"/status": {**STATUS, "nodes": [{**STATUS["nodes"][0], "name": name}]}}
    result = CliRunner().invoke(main, ["status", "--server", store.address])
    (row,) = (line for line in result.stdout.splitlines() if name in line)
    assert "10.0.0.1:7400" in row
    assert "r1" in row


def counted(server: StoreDouble, name: str, keys: int, **more: Any) -> None:
    """Have `server` tell the status of the node `name`, which counts so many entries."""
    counts = {"default": {"keys": keys, "bytes": keys << 10, "held_keys": 99, "held_bytes": 99}}
    nodes = [{**node, "self": node["name"] == name} for node in more.pop("nodes")]
    told = {**STATUS, "node": name, "nodes": nodes, "counts": counts, **more}
    server.documents = {"/status": told}


def test_entries_and_bytes_are_those_of_all_nodes(store: StoreDouble) -> None:
    with store_double() as another:
        nodes = [
            {**STATUS["nodes"][0], "name": name, "http": server.address}
            for name, server in (("n1", store), ("n2", another))
        ]
        counted(store, "n1", 3000, nodes=nodes)
        counted(another, "n2", 4000, nodes=nodes, counting=True)
        shown = CliRunner().invoke(main, ["status", "--server", store.address]).stdout
        assert re.search(r"default +7,000 +7.17 MB", shown)
        assert "still being counted on n2" in shown
    shown = CliRunner().invoke(main, ["status", "--server", store.address]).stdout
    assert re.search(r"default +3,000 +3.07 MB", shown)
    assert "not counted: those of n2, without an answer" in shown


def test_status_says_what_its_columns_mean() -> None:
    told = CliRunner().invoke(main, ["status", "--help"]).stdout
    for column in ("silence", "seen otherwise", "hints", "entries, bytes", "read and checked"):
        assert column in told


def test_clocks_are_spoken_of_only_where_they_differ(store: StoreDouble) -> None:
    def shown(state: str, ahead_ms: int | None) -> str:
        nodes = [{**node, "clock_ahead_ms": ahead_ms} for node in STATUS["nodes"]]
        store.documents = {"/status": {**STATUS, "nodes": nodes, "clock": {"state": state}}}
        result = CliRunner().invoke(main, ["status", "--server", store.address])
        assert result.exit_code == 0, result.stderr
        return " ".join(result.stdout.split())

    for state, ahead_ms in (("trusted", 2000), ("unconfirmed", None)):
        assert "the clock" not in shown(state, ahead_ms)
    assert "the clock of n1 is 2.5 s ahead of that of n1" in shown("trusted", 2500)
    assert "the clock of n1 is 2.0 days behind that of n1" in shown("wrong", -2 * 86_400_000)
    assert "the clock of n1 is disputed" in shown("disputed", 2000)


def test_status_says_what_the_server_waits_for(store: StoreDouble) -> None:
    waiting = {
        "to_compare": ["n2", "n3"],
        "tokens": 4,
        "since_ms": 1_700_000_000_000,
        "unreadable": 1,
        "unreadable_listed": [
            {
                "first_token": "960bc0cc3e365e01",
                "last_token": "960c000000000000",
                "partition": 150,
                "since_ms": 1_700_000_000_000,
                "nodes": ["n2", "n3"],
            }
        ],
        "advice": "in terms of HTTP",
    }
    store.documents = {"/status": {**STATUS, "recovering": True, "waiting": waiting}}
    result = CliRunner().invoke(main, ["status", "--server", store.address])
    assert result.exit_code == 0, result.output
    for said in ("compared with n2, n3", "960bc0cc3e365e01", "150", "'kvorum rebuild'"):
        assert said in result.output

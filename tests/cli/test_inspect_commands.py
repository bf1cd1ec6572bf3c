"""status, ring and locate."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from click.testing import CliRunner
from store_double import StoreDouble

from kvorum.cli import main
from kvorum.cli.errors import ExitCode

STATUS: Final = {
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
    "partitions": 256,
    "nodes": [
        {
            "name": "n1",
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


def test_a_terminal_gets_colours_unless_it_says_no(
    store: StoreDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.documents = {"/ring": RING}
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = CliRunner().invoke(main, ["ring", "--server", store.address], color=True)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = CliRunner().invoke(main, ["ring", "--server", store.address], color=True)
    assert "\x1b[" in coloured.stdout
    assert "\x1b[3" not in plain.stdout

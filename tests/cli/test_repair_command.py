"""kvorum repair: what it asks for, what it shows, and which server it asks."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from click.testing import CliRunner
from kit.http_store import StoreDouble

from kvorum.cli import main
from kvorum.cli.errors import ExitCode

BEGUN: Final[dict[str, Any]] = {
    "id": "00ab",
    "ended": False,
    "partitions": 256,
    "done": 0,
    "repaired": 0,
    "incomplete": [],
}
ENDED: Final = BEGUN | {"ended": True, "done": 256, "repaired": 1234}


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ([], {}),
        (["--full"], {"full": True}),
        (["--partition", "17", "--full"], {"partition": 17, "full": True}),
        (["--key", "user:7", "--namespace", "shop"], {"key": "user:7", "namespace": "shop"}),
    ],
)
def test_it_asks_for_what_was_named(
    store: StoreDouble, words: list[str], body: dict[str, Any]
) -> None:
    store.documents = {"/repair": BEGUN, "/repair/00ab": ENDED}
    result = CliRunner().invoke(main, ["repair", *words, "--server", store.address])
    assert result.exit_code == 0, result.stderr
    assert "1234" in result.stdout
    first, second = store.requests
    assert (first.method, first.path, first.json()) == ("POST", "/repair", body)
    assert (second.method, second.path) == ("GET", "/repair/00ab")


def test_programs_get_the_document(store: StoreDouble) -> None:
    store.documents = {"/repair": ENDED}
    result = CliRunner().invoke(main, ["repair", "--server", store.address, "-o", "json"])
    assert json.loads(result.stdout) == ENDED


def test_owners_that_were_away_make_it_fail(store: StoreDouble) -> None:
    store.documents = {"/repair": ENDED | {"incomplete": list(range(30))}}
    result = CliRunner().invoke(main, ["repair", "--server", store.address])
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 20 more" in result.stderr


def test_one_server_that_answers_is_enough(store: StoreDouble) -> None:
    store.documents = {"/repair": BEGUN, "/repair/00ab": ENDED}
    servers = f"127.0.0.1:1,{store.address}"
    result = CliRunner().invoke(main, ["repair", "--server", servers, "--timeout", "1"])
    assert result.exit_code == 0, result.stderr


def test_a_partition_and_a_key_cannot_both_be_meant(store: StoreDouble) -> None:
    words = ["repair", "--partition", "1", "--key", "k", "--server", store.address]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == ExitCode.USAGE
    assert not store.requests


def test_what_stays_damaged_is_named_and_makes_it_fail(store: StoreDouble) -> None:
    damaged = [
        {"partition": 17, "nodes": ["n1", "n2"], "token": "1100000000000000"},
        {"partition": 18, "nodes": ["n3"], "key": "user:7", "token": "1200000000000000"},
    ]
    store.documents = {"/repair": ENDED | {"damaged": damaged}}
    result = CliRunner().invoke(main, ["repair", "--server", store.address])
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "1100000000000000 (partition 17, unreadable on n1, n2)" in result.stderr
    assert "the key 'user:7' (partition 18, unreadable on n3)" in result.stderr
    assert "2 damaged records" in result.stderr

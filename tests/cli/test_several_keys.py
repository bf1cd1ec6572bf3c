"""set, get and delete of several keys at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kit.http_store import StoreDouble, hang_up, refuse_items

from kvorum.cli import main
from kvorum.cli.errors import ExitCode

Kvorum = Callable[..., Result]


@pytest.fixture
def kvorum(store: StoreDouble) -> Kvorum:
    def call(*words: str) -> Result:
        return CliRunner().invoke(main, words, env={"KVORUM_SERVER": store.address})

    return call


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_pairs_are_stored(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("b", 0)
    result = kvorum("set", "a", "1", "b", "two", "c", "[3]", "--ttl", "1m")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "created a\nupdated b\ncreated c\n"
    assert store.values() == {"a": 1, "b": "two", "c": [3]}
    sent = store.requests[-1].json()["entries"]
    assert [item["metadata"]["ttl"] for item in sent] == [60] * 3


def test_pairs_as_json_are_a_line_each(kvorum: Kvorum) -> None:
    told = lines(kvorum("set", "a", "1", "b", "2", "-o", "json").stdout)
    assert [(one["key"], one["created"]) for one in told] == [("a", True), ("b", True)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a", "1", "b"], "The key 'b' has no value"),
        (["a", "1", "a", "2"], "The key 'a' is given twice"),
        (["a", "1", "b", "{", "--json"], "The value '{' is not JSON"),
        (["a", "1", "b", "2", "--version", "v1"], "--version is of one key"),
        (["a", "1", "b", "2", "--if-version", "v1"], "--if-version is of one key"),
        (["a", "1", "b", "2", "--file", "-"], "VALUE and --file are both given"),
    ],
)
def test_wrong_pairs_are_misuse_and_nothing_is_sent(
    kvorum: Kvorum, store: StoreDouble, words: list[str], says: str
) -> None:
    result = kvorum("set", *words)
    assert result.exit_code == ExitCode.USAGE
    assert says in result.stderr
    assert store.requests == []


def test_a_pair_that_fails_is_named_and_the_others_are_stored(
    kvorum: Kvorum, store: StoreDouble
) -> None:
    store.broken = {"b"}
    result = kvorum("set", "a", "1", "b", "2", "c", "3", "--timeout", "1")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert result.stdout == "created a\ncreated c\n"
    assert result.stderr == "error: the key 'b' is broken\n"
    assert store.values() == {"a": 1, "c": 3}
    as_json = kvorum("set", "a", "1", "b", "2", "-o", "json", "--timeout", "1")
    assert as_json.exit_code == ExitCode.NOT_FOUND
    [failed] = lines(as_json.stderr)
    assert failed["error"].items() >= {"code": "storage_failed", "key": "b"}.items()


def test_a_pair_of_unknown_outcome_is_told_by_the_exit_code(
    kvorum: Kvorum, store: StoreDouble
) -> None:
    store.script(refuse_items(1, code="quorum_not_met", outcome="unknown"))
    result = kvorum("set", "a", "1", "b", "2")
    assert result.exit_code == ExitCode.UNKNOWN
    assert result.stdout == "created a\n"
    assert result.stderr.startswith("error: 'b': ")
    assert "read before you repeat it" in result.stderr


def test_what_all_keys_failed_for_is_said_once(kvorum: Kvorum, store: StoreDouble) -> None:
    store.script(hang_up())
    result = kvorum("set", "a", "1", "b", "2")
    assert result.exit_code == ExitCode.UNKNOWN
    assert result.stderr.count("\n") == 1
    store.stop()
    for words in (["get", "a", "b"], ["delete", "a", "b"], ["set", "a", "1", "b", "2"]):
        result = kvorum(*words, "--timeout", "0.5")
        assert result.exit_code == ExitCode.UNAVAILABLE
        assert result.stderr.count("\n") == 1


def test_pairs_of_absent_keys_only(kvorum: Kvorum, store: StoreDouble) -> None:
    assert kvorum("set", "a", "1", "b", "2", "--if-absent").exit_code == 0
    assert [seen.headers["if-none-match"] for seen in store.requests] == ["*", "*"]


def test_values_of_several_keys_are_a_table(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("a", "text")
    store.put("b", {"n": 1}, 2)
    result = kvorum("get", "a", "b")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[2:] == [["a", '"text"'], ["b", "2"]]
    assert "2 concurrent values of 'b'" in result.stderr


def test_values_of_several_keys_as_json_are_a_line_each(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("a", 1)
    store.put("b", 2)
    result = kvorum("get", "b", "missing", "a", "-o", "json")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert [(one["key"], one["value"]) for one in lines(result.stdout)] == [("b", 2), ("a", 1)]
    [failed] = lines(result.stderr)
    assert failed["error"].items() >= {"code": "not_found", "key": "missing"}.items()


def test_all_that_is_known_of_several_keys(kvorum: Kvorum, store: StoreDouble) -> None:
    store.put("a", 1)
    store.put("b", 2)
    shown = kvorum("get", "a", "b", "--all").stdout
    assert "key      a\nversion  v1\n" in shown
    assert "\n\nkey      b\nversion  v2\n" in shown


def test_several_keys_are_deleted(kvorum: Kvorum, store: StoreDouble) -> None:
    for key in "abc":
        store.put(key, 1)
    result = kvorum("delete", "a", "missing", "a", "b")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert result.stdout == "deleted a\ndeleted b\n"
    assert result.stderr.startswith("error: No such key: 'missing'.")
    assert store.values() == {"c": 1}


def test_a_version_is_of_one_key(kvorum: Kvorum, store: StoreDouble) -> None:
    result = kvorum("delete", "a", "b", "--if-version", "v1")
    assert result.exit_code == ExitCode.USAGE
    assert "--if-version is of one key" in result.stderr
    assert store.requests == []

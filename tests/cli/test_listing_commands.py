"""ls, count and delete --prefix: what they ask, page by page, and what they print."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kit.http_store import Reply, StoreDouble, answer, problem

from kvorum.cli import main
from kvorum.cli.errors import ExitCode

Kvorum = Callable[..., Result]
DAMAGED = {"partition": 3, "nodes": ["n1", "n2"], "key": "lost"}


@pytest.fixture
def kvorum(store: StoreDouble) -> Kvorum:
    def call(*words: str, typed: str = "") -> Result:
        env = {"KVORUM_SERVER": store.address}
        return CliRunner().invoke(main, words, input=typed, env=env)

    return call


def page(store: StoreDouble, **document: Any) -> None:
    """The next page that is asked for is `document`."""
    store.script(answer(Reply(200, {"cursor": None, **document})))


def queries(store: StoreDouble) -> list[dict[str, str]]:
    return [seen.query for seen in store.requests]


def entry(key: str, value: Any, **metadata: Any) -> dict[str, Any]:
    return {"key": key, "value": value, "metadata": {"valueVersion": "v1", **metadata}}


def test_keys_are_listed_a_line_each_page_by_page(kvorum: Kvorum, store: StoreDouble) -> None:
    page(store, keys=["user:1", "user:2"], cursor="c1")
    page(store, keys=[], cursor="c2")
    page(store, keys=["user:3"])
    result = kvorum("ls", "user:", "--namespace", "people")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "user:1\nuser:2\nuser:3\n"
    first, *rest = queries(store)
    asked = {"namespace": "people", "prefix": "user:", "values": "false"}
    assert first.items() >= asked.items()
    assert "cursor" not in first
    assert [query["cursor"] for query in rest] == ["c1", "c2"]
    assert all(query.items() >= asked.items() for query in rest)


def test_without_a_prefix_all_keys_are_listed(kvorum: Kvorum, store: StoreDouble) -> None:
    page(store, keys=["a"])
    assert kvorum("ls").stdout == "a\n"
    assert "prefix" not in queries(store)[0]
    page(store, keys=[])
    assert kvorum("ls").stdout == ""


def test_a_listing_ends_at_its_limit(kvorum: Kvorum, store: StoreDouble) -> None:
    page(store, keys=["a", "b"], cursor="c1")
    page(store, keys=["c"], cursor="c2")
    assert kvorum("ls", "-n", "3").stdout == "a\nb\nc\n"
    assert [query["limit"] for query in queries(store)] == ["3", "1"]


def test_a_listing_begins_behind_a_key(kvorum: Kvorum, store: StoreDouble) -> None:
    page(store, keys=["b"], cursor="c1")
    page(store, keys=["c"])
    assert kvorum("ls", "--start-after", "a").stdout == "b\nc\n"
    first, second = queries(store)
    assert first["start_after"] == "a"
    assert "start_after" not in second


def test_keys_as_json_are_an_object_a_line(kvorum: Kvorum, store: StoreDouble) -> None:
    page(store, keys=["a\n", "ü"])
    result = kvorum("ls", "-o", "json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"key": "a\n"},
        {"key": "ü"},
    ]


def test_a_long_listing_shows_size_expiry_and_version(kvorum: Kvorum, store: StoreDouble) -> None:
    entries = [
        entry("a", {"n": 1}),
        entry("b", "aGVsbG8=", encoding="base64", expiresAt=1_700_000_000_000),
    ]
    page(store, entries=entries, cursor="c1")
    page(store, entries=[entry("c\nd", "ü")])
    shown = [line.split() for line in kvorum("ls", "--long").stdout.splitlines()]
    assert shown == [
        ["size", "expires", "version", "key"],
        ["7", "v1", "a"],
        ["5", "2023-11-14", "22:13:20+00:00", "v1", "b"],
        ["4", "v1", "c", "d"],
    ]
    assert "values" not in queries(store)[0]
    page(store, entries=entries)
    lines = kvorum("ls", "-l", "-o", "json").stdout.splitlines()
    assert json.loads(lines[1]) == {
        "key": "b",
        "size": 5,
        "version": "v1",
        "expires_at": 1_700_000_000_000,
    }


def test_counts_of_pages_are_added_up(kvorum: Kvorum, store: StoreDouble) -> None:
    page(store, count=1500, cursor="c1")
    page(store, count=7)
    result = kvorum("count", "user:")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "1507\n", "")
    assert [query.get("cursor") for query in queries(store)] == [None, "c1"]
    assert store.requests[0].path == "/entries/count"
    page(store, count=3)
    shown = json.loads(kvorum("count", "--namespace", "people", "-o", "json").stdout)
    assert shown == {"namespace": "people", "prefix": "", "count": 3}


@pytest.mark.parametrize(
    ("words", "document", "printed", "done"),
    [
        (["ls"], {"keys": ["a"]}, "a\n", "listed"),
        (["count"], {"count": 1}, "1\n", "counted"),
        (
            ["delete", "--prefix", "", "--yes"],
            {"deleted": 1},
            "deleted 1 entries of namespace 'default'\n",
            "deleted",
        ),
    ],
)
def test_what_is_damaged_everywhere_is_named(
    kvorum: Kvorum,
    store: StoreDouble,
    words: list[str],
    document: dict[str, Any],
    printed: str,
    done: str,
) -> None:
    page(store, **document, unreadable=[DAMAGED])
    result = kvorum(*words)
    assert result.exit_code == ExitCode.INCOMPLETE
    assert result.stdout == printed
    assert f"not {done}: the key 'lost'" in result.stderr
    page(store, **document, unreadable=[DAMAGED])
    error = json.loads(kvorum(*words, "-o", "json").stderr)["error"]
    assert error["unreadable"] == [DAMAGED]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["ls", "-n", "0"], ExitCode.USAGE, "--limit"),
        (["ls", "a", "b"], ExitCode.USAGE, "unexpected extra argument"),
        (["ls", "a\udcff"], ExitCode.USAGE, "is not UTF-8, and keys are"),
        (["count", "a\udcff"], ExitCode.USAGE, "is not UTF-8, and keys are"),
        (["ls", "--start-after", ""], ExitCode.USAGE, "A key has 1 to 1024 bytes"),
        (["ls", "--prefix", "a"], ExitCode.USAGE, "No such option"),
        (["delete"], ExitCode.USAGE, "Neither KEY nor --prefix is given"),
        (["delete", "k", "--prefix", "a"], ExitCode.USAGE, "KEY and --prefix are both given"),
        (["delete", "k", "--yes"], ExitCode.USAGE, "--yes is for --prefix"),
        (["delete", "--prefix", "a", "-w", "1"], ExitCode.USAGE, "-w is for keys"),
        (["delete", "--prefix", "a", "--version", "v"], ExitCode.USAGE, "--version is for keys"),
        (["delete", "--prefix", "a\udcff", "--yes"], ExitCode.USAGE, "is not UTF-8"),
    ],
)
def test_a_wrong_listing_is_refused_and_nothing_is_asked(
    kvorum: Kvorum, store: StoreDouble, words: list[str], code: ExitCode, says: str
) -> None:
    result = kvorum(*words)
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert store.requests == []


def test_what_the_servers_refuse_is_told(kvorum: Kvorum, store: StoreDouble) -> None:
    refusal = answer(problem(404, "namespace_not_found", detail="There is no namespace 'x'."))
    for command in ("ls", "count"):
        store.script(refusal)
        result = kvorum(command, "--namespace", "x")
        assert result.exit_code == ExitCode.NOT_FOUND
        assert "There is no namespace 'x'." in result.stderr
    store.script(answer(Reply(200, {"keys": 7, "cursor": None})))
    result = kvorum("ls")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "`$.keys`" in result.stderr


def confirmable(store: StoreDouble, count: int, *keys: str) -> None:
    """What is asked before a deletion is answered so."""
    page(store, count=count)
    page(store, keys=list(keys))


def deletions(store: StoreDouble) -> list[dict[str, str]]:
    """Their queries, without how long each may take."""
    queries = [seen.query for seen in store.requests if seen.method == "DELETE"]
    for query in queries:
        del query["timeout_ms"]
    return queries


def test_a_deletion_by_prefix_is_confirmed_with_the_number_and_some_keys(
    kvorum: Kvorum, store: StoreDouble
) -> None:
    confirmable(store, 1200, "user:1", "user:2")
    page(store, deleted=1000, cursor="c1")
    page(store, deleted=200)
    result = kvorum("delete", "--prefix", "user:", typed="y\n")
    assert result.exit_code == 0, result.stderr
    assert "Delete 1,200 entries of namespace 'default'" in result.stderr
    assert "user:1, user:2, ...?" in result.stderr
    assert result.stdout == (
        "deleted 1,200 entries of namespace 'default' whose keys begin with 'user:'\n"
    )
    assert deletions(store) == [
        {"prefix": "user:", "confirm": "user:"},
        {"prefix": "user:", "confirm": "user:", "cursor": "c1"},
    ]


@pytest.mark.parametrize("typed", ["n\n", ""])
def test_without_a_yes_nothing_is_deleted(kvorum: Kvorum, store: StoreDouble, typed: str) -> None:
    confirmable(store, 2, "user:1", "user:2")
    result = kvorum("delete", "--prefix", "user:", typed=typed)
    assert result.exit_code == ExitCode.REFUSED
    assert "Nothing was changed" in result.stderr
    assert deletions(store) == []


def test_a_script_is_not_asked(kvorum: Kvorum, store: StoreDouble) -> None:
    page(store, deleted=3)
    result = kvorum("delete", "--prefix", "", "--yes", "--namespace", "people", "-o", "json")
    assert json.loads(result.stdout) == {"namespace": "people", "prefix": "", "deleted": 3}
    assert deletions(store) == [{"prefix": "", "confirm": "people", "namespace": "people"}]


def test_where_there_is_nothing_to_delete_nothing_is_asked(
    kvorum: Kvorum, store: StoreDouble
) -> None:
    page(store, count=0)
    page(store, deleted=0)
    result = kvorum("delete", "--prefix", "user:")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("deleted 0 entries")


def test_a_deletion_that_fails_says_how_many_it_has_deleted(
    kvorum: Kvorum, store: StoreDouble
) -> None:
    refusal = answer(problem(400, "bad_request", detail="No.", deleted=7))
    for words in ([], ["-o", "json"]):
        page(store, deleted=1000, cursor="c1")
        store.script(refusal)
        result = kvorum("delete", "--prefix", "user:", "--yes", *words)
        assert result.exit_code == ExitCode.USAGE
        assert "1,007 entries were deleted before" in result.stderr or words
    assert json.loads(result.stderr)["error"]["deleted"] == 1007

"""Many entries in one call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.http_store import (
    StoreDouble,
    answer,
    hang_up,
    keep_silent,
    problem,
    refuse_items,
    store_double,
)
from test_values import json_values

import kvorum
from kvorum.client import connection
from kvorum.client.bulk import BYTES_MAX, ITEMS_MAX
from kvorum.client.synchronous import Client
from kvorum.model.errors import (
    ConnectionFailed,
    InvalidKey,
    InvalidValue,
    KvorumError,
    NotFound,
    Overloaded,
    ProtocolError,
    QuorumError,
    TimeoutExpired,
)


@pytest.fixture
def client(store: StoreDouble) -> Iterator[Client]:
    with kvorum.connect(store.url) as client:
        yield client


def kinds(results: list[kvorum.Entry | KvorumError]) -> list[type]:
    return [type(result) for result in results]


def test_results_are_in_the_order_of_the_items(store: StoreDouble, client: Client) -> None:
    pairs = [(f"k{n}", n) for n in range(2 * ITEMS_MAX + 500)]
    results = client.set_many(pairs)
    assert [
        (entry.key, entry.value) for entry in results if isinstance(entry, kvorum.Entry)
    ] == pairs
    assert store.values() == dict(pairs)
    entries = client.get_entries(key for key, _ in reversed(pairs))
    assert [e.value for e in entries if isinstance(e, kvorum.Entry)] == list(
        reversed(range(len(pairs)))
    )


def test_a_mapping_will_do(store: StoreDouble, client: Client) -> None:
    assert kinds(client.set_many({"a": 1, "b": [2]}, namespace="shop", w=2)) == [kvorum.Entry] * 2
    assert store.values("shop") == {"a": 1, "b": [2]}
    assert store.requests[0].query["w"] == "2"


def test_nothing_is_asked_for_nothing(store: StoreDouble, client: Client) -> None:
    assert client.set_many([]) == []
    assert client.get_many([]) == {}
    assert store.requests == []


def test_get_many_gives_what_there_is(store: StoreDouble, client: Client) -> None:
    store.put("a", 1, namespace="shop")
    assert client.get_many(["a", "none"], namespace="shop", r=2) == {"a": 1}
    assert store.requests[0].query["r"] == "2"
    assert client.get_many(["a"]) == {}


def test_get_many_raises_what_is_not_absence(store: StoreDouble, client: Client) -> None:
    with pytest.raises(InvalidKey):
        client.get_many(["a", ""])


def test_requests_are_bounded_in_items_and_bytes(store: StoreDouble, client: Client) -> None:
    big = "x" * (BYTES_MAX // 5)
    client.set_many((f"k{n}", big) for n in range(12))
    client.set_many((f"k{n}", n) for n in range(ITEMS_MAX + 1))
    client.get_many(f"k{n}" for n in range(ITEMS_MAX + 1))
    assert all(len(seen.body) <= BYTES_MAX + 100 for seen in store.requests)
    lists = [seen.json() for seen in store.requests]
    assert all(len(body.get("entries", body.get("keys"))) <= ITEMS_MAX for body in lists)
    assert len(lists) == 3 + 2 + 2


def test_an_item_too_large_for_a_request_has_one_of_its_own(
    store: StoreDouble, client: Client
) -> None:
    client.set_many([("a", 1), ("b", "x" * (BYTES_MAX + 1)), ("c", 3)])
    assert sorted(len(seen.json()["entries"]) for seen in store.requests) == [1, 1, 1]


def test_a_bad_item_fails_alone(store: StoreDouble, client: Client) -> None:
    results = client.set_many([("a", 1), ("", 2), ("c", float("nan")), ("d", 4)])
    assert kinds(results) == [kvorum.Entry, InvalidKey, InvalidValue, kvorum.Entry]
    assert store.values() == {"a": 1, "d": 4}
    assert kinds(client.get_entries(["a", "", "b"])) == [kvorum.Entry, InvalidKey, NotFound]


def test_created_is_told_for_each(client: Client) -> None:
    client.set("a", 1)
    results = client.set_many([("a", 2), ("b", 2)])
    assert [e.created for e in results if isinstance(e, kvorum.Entry)] == [False, True]


def test_only_items_that_changed_nothing_are_asked_again(
    store: StoreDouble, client: Client
) -> None:
    store.script(refuse_items(1, 2, code="overloaded"), refuse_items(0, code="overloaded"))
    results = client.set_many([("a", 1), ("b", 2), ("c", 3)])
    assert kinds(results) == [kvorum.Entry] * 3
    asked = [[item["key"] for item in seen.json()["entries"]] for seen in store.requests]
    assert asked == [["a", "b", "c"], ["b", "c"], ["b"]]


def test_an_item_of_unknown_outcome_is_not_asked_again(store: StoreDouble, client: Client) -> None:
    store.script(refuse_items(1, code="quorum_not_met", outcome="unknown"))
    results = client.set_many([("a", 1), ("b", 2)])
    assert kinds(results) == [kvorum.Entry, QuorumError]
    assert len(store.requests) == 1


def test_a_read_item_is_asked_again_whatever_its_outcome(
    store: StoreDouble, client: Client
) -> None:
    store.put("a", 1)
    store.script(refuse_items(0, code="timeout", outcome="unknown"))
    assert client.get_many(["a"]) == {"a": 1}


def test_a_list_is_asked_for_again_as_long_as_that_gets_somewhere(
    store: StoreDouble, client: Client
) -> None:
    items = {f"k{n}": n for n in range(12)}
    for left in range(11, 0, -1):
        store.script(refuse_items(*range(1, left + 1), code="answer_too_long", status=413))
    assert kinds(client.set_many(items)) == [kvorum.Entry] * 12
    assert len(store.requests) == 12


def test_an_item_that_spoils_the_whole_list_is_found(store: StoreDouble, client: Client) -> None:
    spoilt = answer(problem(400, "invalid_value", detail="nested without end"))
    store.script(spoilt)
    assert kinds(client.set_many([("a", 1), ("b", 2), ("c", 3)])) == [kvorum.Entry] * 3
    asked = [[item["key"] for item in seen.json()["entries"]] for seen in store.requests]
    assert asked == [["a", "b", "c"], ["a"], ["b", "c"]]
    store.script(spoilt)
    assert kinds(client.set_many([("a", 1)])) == [InvalidValue]


def test_items_that_stay_refused_keep_their_error(store: StoreDouble, client: Client) -> None:
    store.script(*[refuse_items(0, code="overloaded")] * 100)
    assert kinds(client.set_many([("a", 1)])) == [Overloaded]


def test_a_lost_request_leaves_each_of_its_items_unknown(
    store: StoreDouble, client: Client
) -> None:
    store.script(hang_up())
    results = client.set_many([("a", 1), ("b", 2)])
    assert kinds(results) == [ConnectionFailed] * 2
    assert [e.outcome for e in results if isinstance(e, KvorumError)] == ["unknown"] * 2
    assert len(store.requests) == 1


def test_the_deadline_holds_for_the_whole_call(store: StoreDouble, client: Client) -> None:
    store.script(*[keep_silent()] * 10)
    results = client.set_many([(f"k{n}", n) for n in range(ITEMS_MAX + 1)], timeout=0.3)
    assert set(kinds(results)) == {TimeoutExpired}


def test_a_list_answered_with_too_few_outcomes_is_unknown(
    store: StoreDouble, client: Client
) -> None:
    store.script(answer(problem(200, "x")))
    [result] = client.set_many([("a", 1)])
    assert isinstance(result, ProtocolError)
    assert result.outcome == "unknown"


def test_an_answer_too_large_is_asked_for_in_parts(
    store: StoreDouble, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BODY_BYTES_MAX", 2000)
    for n in range(10):
        store.put(f"k{n}", "x" * 500)
    store.put("big", "x" * 2500)
    assert client.get_many(f"k{n}" for n in range(10)) == {f"k{n}": "x" * 500 for n in range(10)}
    assert kinds(client.get_entries(["k1", "big", "k2"])) == [
        kvorum.Entry,
        connection.AnswerTooLarge,
        kvorum.Entry,
    ]


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with store_double() as double, kvorum.connect(double.url) as client:
        yield client


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=3), json_values, max_size=20))
def test_many_at_once_is_each_by_itself(shared: Client, items: dict[str, Any]) -> None:
    for (key, value), result in zip(items.items(), shared.set_many(items), strict=True):
        if isinstance(result, kvorum.Entry):
            assert repr(shared.get(key)) == repr(value)
        else:
            with pytest.raises(type(result)):
                shared.set(key, value)

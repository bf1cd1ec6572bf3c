"""Many keys in one call: whether they exist, deleting and touching them, listing them by prefix."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.http_store import StoreDouble, answer, answer_and_leave, problem, store_double

import kvorum
import kvorum.aio
from kvorum.client.synchronous import Client
from kvorum.errors import (
    InvalidKey,
    NotFound,
    ProtocolError,
    QuorumError,
    RequestError,
    StorageError,
    WrongType,
)

PAGE = 3


@pytest.fixture
def store() -> Iterator[StoreDouble]:
    with store_double(page_size=PAGE) as double:
        yield double


@pytest.fixture
def client(store: StoreDouble) -> Iterator[Client]:
    with kvorum.connect(store.url) as client:
        yield client


def test_existence_is_asked_without_values(store: StoreDouble, client: Client) -> None:
    store.put("a", 1)
    store.put("b", None)
    assert client.exists("a")
    assert client.exists("b")
    assert not client.exists("c")
    assert client.exists_many(["c", "a", "b"]) == {"a", "b"}
    assert client.exists_many([]) == frozenset()
    assert {seen.query["values"] for seen in store.requests} == {"false"}


def test_existence_that_is_not_known_is_an_error(store: StoreDouble, client: Client) -> None:
    with pytest.raises(InvalidKey):
        client.exists("")
    store.script(*[answer(problem(503, "quorum_not_met"))] * 20)
    with pytest.raises(QuorumError):
        client.exists_many(["a"])


def test_many_keys_are_deleted(store: StoreDouble, client: Client) -> None:
    for key in "abc":
        store.put(key, key)
    results = client.delete_many(key for key in ["a", "none", "", "c"])
    assert results[:2] == [True, False]
    assert isinstance(results[2], InvalidKey)
    assert results[3] is True
    assert store.values() == {"b": "b"}


def test_one_key_is_not_taken_for_several(store: StoreDouble, client: Client) -> None:
    store.put("a", 1)
    for call in (client.delete_many, client.get_many, client.exists_many, client.get_entries):
        with pytest.raises(WrongType, match="'abc' is one"):
            call("abc")
    with pytest.raises(WrongType, match="'abc' is one"):
        client.touch_many("abc", 5)
    assert store.requests == []


def test_many_keys_are_touched(store: StoreDouble, client: Client) -> None:
    store.put("a", 1)
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    ms = 1_893_456_000_000
    first, missing = client.touch_many(["a", "none"], expires_at=moment)
    assert first == ms
    assert isinstance(missing, NotFound)
    assert "none" in missing.message
    entry = client.get_entry("a")
    assert (entry.expires_at, entry.expires) == (ms, moment)
    assert client.touch_many(["a"], timedelta(minutes=1)) != [ms]
    assert client.touch_many(["a"], 0) == [None]
    assert client.get_entry("a").expires is None


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, RequestError, "Neither ttl nor expires_at"),
        ({"ttl": 5, "expires_at": 5}, RequestError, "Both ttl and expires_at"),
        ({"expires_at": datetime(2030, 1, 1)}, RequestError, "no time zone"),  # noqa: DTZ001
        ({"expires_at": "2030"}, WrongType, "or a datetime"),
    ],
)
def test_a_lifetime_that_is_none_changes_nothing(
    store: StoreDouble, client: Client, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        client.touch_many(["a"], **options)
    with pytest.raises(error, match=words):
        client.touch("a", **options)
    assert store.requests == []


def test_a_datetime_is_a_moment_of_a_set_as_well(client: Client) -> None:
    zone = datetime(2030, 1, 1, 2, tzinfo=UTC) + timedelta(microseconds=1999)
    assert client.set("k", 1, expires_at=zone).expires_at == 1_893_463_200_001
    with pytest.raises(RequestError, match="no time zone"):
        client.set("k", 2, expires_at=datetime(2030, 1, 1))  # noqa: DTZ001
    assert client.get("k") == 1
    (many,) = client.set_many({"a": 1}, expires_at=zone)
    assert isinstance(many, kvorum.Entry)
    assert many.expires_at == 1_893_463_200_001


def test_keys_are_listed_by_their_prefix(store: StoreDouble, client: Client) -> None:
    names = [f"user:{n}" for n in range(8)]
    for key in [*names, "other", "user"]:
        store.put(key, key.upper())
    assert list(client.keys("user:")) == names
    assert list(client.keys("user:", limit=4)) == names[:4]
    assert list(client.keys("user:", start_after="user:5")) == names[6:]
    assert list(client.keys("user:", limit=0)) == []
    assert list(client.scan("user:", keys_only=True)) == names
    assert all(seen.query["values"] == "false" for seen in store.requests)
    entries = list(client.scan("user:", limit=2, start_after="user:0"))
    assert [(entry.key, entry.value) for entry in entries] == [
        ("user:1", "USER:1"),
        ("user:2", "USER:2"),
    ]
    assert client.count("user:") == 8
    assert client.count() == 10
    assert client.count("none") == 0
    assert client.count(namespace="other") == 0


def test_a_listing_can_be_taken_up_later(store: StoreDouble, client: Client) -> None:
    for n in range(5):
        store.put(f"k{n}", n)
    first = client.page("k", limit=2, keys_only=True)
    assert first.keys == ["k0", "k1"]
    assert client.page("k", cursor=first.cursor, keys_only=True).keys == ["k2", "k3", "k4"]
    with pytest.raises(RequestError, match="Both cursor and start_after"):
        client.page("k", cursor="c", start_after="k1")


def test_a_namespace_is_not_a_prefix(client: Client) -> None:
    with pytest.raises(WrongType, match="namespace="):
        list(client.scan(None))  # type: ignore[arg-type]
    with pytest.raises(WrongType, match="limit"):
        list(client.keys(limit=-1))


def test_clear_deletes_what_has_the_prefix(store: StoreDouble, client: Client) -> None:
    for n in range(7):
        store.put(f"old:{n}", n)
    store.put("new", 1)
    assert client.clear("old:") == 7
    assert store.values() == {"new": 1}
    assert client.clear("old:") == 0


@pytest.mark.parametrize("confirm", [None, "", "other"])
def test_an_empty_prefix_has_to_be_confirmed(
    store: StoreDouble, client: Client, confirm: str | None
) -> None:
    store.put("a", 1)
    with pytest.raises(RequestError, match="confirm='default'"):
        client.clear("", confirm=confirm)
    assert store.requests == []
    assert client.clear("", confirm="default") == 1
    store.put("a", 1, namespace="other")
    assert client.clear("", confirm="other", namespace="other") == 1
    assert store.held == {}


def test_clear_says_how_far_it_got(store: StoreDouble, client: Client) -> None:
    for n in range(5):
        store.put(f"k{n}", n)
    store.script(answer_and_leave(), answer(problem(500, "storage_failed")))
    with pytest.raises(StorageError) as caught:
        client.clear("k")
    assert caught.value.details["deleted"] == PAGE


def test_an_answer_without_keys_is_none(store: StoreDouble, client: Client) -> None:
    store.script(answer(problem(200, "x")))
    with pytest.raises(ProtocolError):
        list(client.keys())


def test_the_async_client_lists_and_deletes_too(store: StoreDouble) -> None:
    async def main() -> None:
        async with kvorum.aio.connect(store.url) as client:
            await client.set_many({f"k{n}": n for n in range(5)})
            assert [key async for key in client.keys("k")] == [f"k{n}" for n in range(5)]
            assert await client.count("k") == 5
            assert await client.exists("k1")
            assert await client.pop("k1") == 1
            assert await client.exists_many(["k1", "k2"]) == {"k2"}
            assert await client.delete_many(["k1", "k2"]) == [False, True]
            assert await client.clear("k") == 3

    asyncio.run(main())

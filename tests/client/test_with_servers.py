"""The methods about many keys, updates and mappings, against three real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.running_cluster import running

import kvorum
from kvorum.client.synchronous import Client
from kvorum.errors import InvalidKey, NotFound, RequestError, SiblingsFound


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("cluster")
    with running(directory, 3) as cluster:
        yield cluster.server


@pytest.fixture
def store(server: str) -> Iterator[Client]:
    with kvorum.connect(server) as client:
        client.clear("", confirm="default")
        yield client


def test_prefixes(store: Client) -> None:
    users = {f"user:{n}": n for n in range(1500)}
    store.set_many(users | {"other": "kept"})
    assert set(store.keys("user:")) == set(users)
    assert {entry.key: entry.value for entry in store.scan("user:")} == users
    assert (store.count("user:"), store.count()) == (1500, 1501)
    some = list(store.keys("user:", limit=700))
    rest = list(store.keys("user:", start_after=some[-1]))
    assert sorted(some + rest) == sorted(users)
    with pytest.raises(RequestError, match="confirm='default'"):
        store.clear("")
    assert store.clear("user:") == 1500
    assert list(store.keys()) == ["other"]


def test_many_keys(store: Client) -> None:
    store.set_many({"a": 1, "b": None, "c": 3})
    assert store.exists_many(["a", "b", "none"]) == {"a", "b"}
    first, missing = store.touch_many(["a", "none"], 60)
    assert first == store.get_entry("a").expires_at
    assert isinstance(missing, NotFound)
    assert store.touch_many(["a"], 0) == [None]
    deleted = store.delete_many(["a", "none", "", "c"])
    assert [deleted[0], deleted[1], deleted[3]] == [True, False, True]
    assert isinstance(deleted[2], InvalidKey)
    assert store.pop("b") is None
    assert store.pop("b", "gone") == "gone"
    assert store.count() == 0


def test_updates_that_meet_lose_nothing(store: Client) -> None:
    """What two of them wrote at once is merged, for the members of a set know no order."""

    def union(sets: list[list[int]]) -> list[int]:
        return sorted({member for one in sets for member in one})

    def add(first: int) -> None:
        for member in range(first, first + 10):

            def with_member(them: list[int], new: int = member) -> list[int]:
                return [*them, new]

            store.update("set", with_member, merge=union, default=[])

    threads = [threading.Thread(target=add, args=[n * 10]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(set(store.get("set", on_conflict=union))) == list(range(40))


def test_siblings_and_serializers(store: Client) -> None:
    first = store.set("k", {1}, serializer="pickle").version
    store.set("k", {2}, version=first, serializer="pickle")
    store.set("k", {3}, version=first, serializer="pickle")
    with pytest.raises(SiblingsFound):
        store.get("k", serializer="pickle", on_conflict="raise")
    merged = store.update("k", lambda it: it | {4}, merge=lambda them: set().union(*them),
                          serializer="pickle")  # fmt: skip
    assert merged.value == {2, 3, 4}
    assert store.get_entry("k").siblings == ()


def test_a_mapping(store: Client) -> None:
    cart = store.mapping("{7}:cart:")
    cart.update(book=2, pen=1)
    cart["ink"] = 5
    assert cart == {"book": 2, "pen": 1, "ink": 5}
    assert list(cart) == ["book", "ink", "pen"]  # in order, for the prefix holds a whole tag
    assert cart.setdefault("book", 9) == 2
    assert cart.pop("pen") == 1
    assert len(cart) == 2
    cart.clear()
    assert not cart

"""The embedded store by prefix, by many keys, as a dict, and under updates of several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kvorum
from kvorum.errors import (
    InvalidKey,
    NotFound,
    RequestError,
    SiblingsFound,
    WrongType,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[kvorum.Embedded]:
    with kvorum.open(tmp_path / "store", memory="64MB") as store:
        yield store


def test_keys_are_listed_counted_and_cleared_by_prefix(store: kvorum.Embedded) -> None:
    users = {f"user:{n}": n for n in range(1200)}
    store.set_many(users)
    store.set("other", "kept")
    assert set(store.keys("user:")) == set(users)
    assert {entry.key: entry.value for entry in store.scan("user:")} == users
    assert (store.count("user:"), store.count(), store.count("none")) == (1200, 1201, 0)
    some = list(store.keys("user:", limit=700))
    assert len(some) == 700
    rest = list(store.keys("user:", start_after=some[-1]))
    assert sorted(some + rest) == sorted(users)
    assert store.clear("user:") == 1200
    assert list(store.scan(keys_only=True)) == ["other"]


def test_keys_of_a_tag_come_in_order(store: kvorum.Embedded) -> None:
    names = [f"{{7}}:{n:02}" for n in range(30)]
    store.set_many(dict.fromkeys(reversed(names), 1))
    store.set_many({f"k{n}": n for n in range(100)})
    assert list(store.keys("{7}:")) == names
    assert list(store.keys("{7}:", start_after="{7}:27")) == names[28:]


def test_a_listing_is_taken_up_by_its_cursor(store: kvorum.Embedded) -> None:
    store.set_many({f"k{n}": n for n in range(10)})
    first = store.page(limit=4, keys_only=True)
    second = store.page(cursor=first.cursor, keys_only=True)
    assert len(first.keys) == 4
    assert sorted([*first.keys, *second.keys]) == sorted(f"k{n}" for n in range(10))
    for wrong in ("xyz", "k1"):
        with pytest.raises(RequestError, match="no cursor of this store"):
            store.page(cursor=wrong)
    with pytest.raises(RequestError, match="Both cursor and start_after"):
        store.page(cursor=first.cursor, start_after="k1")


def test_an_empty_prefix_has_to_be_confirmed(store: kvorum.Embedded) -> None:
    store.set("a", 1)
    for confirm in (None, "", "others"):
        with pytest.raises(RequestError, match="confirm='default'"):
            store.clear("", confirm=confirm)
    with pytest.raises(RequestError, match="Repeat that"):
        store.clear_page("a", confirm="b")
    assert store.get("a") == 1
    assert store.clear("", confirm="default") == 1


def test_many_keys_exist_are_deleted_and_touched(store: kvorum.Embedded) -> None:
    store.set_many({"a": 1, "b": None})
    assert store.exists("b")
    assert not store.exists("c")
    assert store.exists_many(["a", "c", "b"]) == {"a", "b"}
    moment = datetime(2050, 1, 1, tzinfo=UTC)
    touched, missing = store.touch_many(["a", "c"], expires_at=moment)
    assert touched == int(moment.timestamp() * 1000)
    assert isinstance(missing, NotFound)
    assert store.get_entry("a").expires == moment
    assert store.touch("a", expires_at=moment) == touched
    assert store.touch_many(["a"], 0) == [None]
    with pytest.raises(RequestError, match="Neither"):
        store.touch("a")
    for call in (store.delete_many, store.get_many, store.exists_many, store.get_entries):
        with pytest.raises(WrongType, match="'abc' is one"):
            call("abc")
    deleted = store.delete_many(["a", "c", "", "b"])
    assert [deleted[0], deleted[1], deleted[3]] == [True, False, True]
    assert isinstance(deleted[2], InvalidKey)
    assert store.count() == 0


def test_serializers_and_conflicts(tmp_path: Path) -> None:
    with kvorum.open(tmp_path / "s", serializer="pickle", on_conflict="raise") as store:
        first = store.set("k", {1}).version
        assert store.get("k") == {1}
        assert store.get("k", serializer="json") != {1}
        store.set("k", {2}, version=first)
        store.set("k", {3}, version=first)
        with pytest.raises(SiblingsFound):
            store.get("k")
        assert store.get("k", on_conflict=lambda sets: set().union(*sets)) == {2, 3}
        assert store.get("k", on_conflict="latest") == {3}
        with pytest.raises(SiblingsFound):
            store.get_many(["k"])
        assert store.pop("k", on_conflict="latest") == {3}
        assert store.get("k", "gone") == "gone"
        assert store.get_many(["k"]) == {}
        entries = store.set_many({"a": {4}, "b": 5})
        assert [it.value for it in entries if isinstance(it, kvorum.Entry)] == [{4}, 5]
        assert {entry.key: entry.value for entry in store.scan()} == {"a": {4}, "b": 5}
    with pytest.raises(kvorum.errors.ConfigError, match="serializer"):
        kvorum.open(tmp_path / "t", serializer="yaml")
    assert not (tmp_path / "t").exists()


def test_no_update_of_several_threads_is_lost(store: kvorum.Embedded) -> None:
    def count() -> None:
        for _ in range(20):
            store.update("n", lambda n: n + 1, default=0, attempts=1000)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.get("n") == 80


def test_an_update_merges_and_keeps_the_lifetime(store: kvorum.Embedded) -> None:
    def joined(lists: list[list[int]]) -> list[int]:
        return sorted(item for one in lists for item in one)

    first = store.set("k", [1], ttl=0).version
    store.set("k", [2], version=first, ttl=100)
    kept = store.set("k", [3], version=first, ttl=200)
    assert len(kept.siblings) == 2
    entry = store.update("k", lambda value: [*value, 4], merge=joined)
    assert (entry.value, entry.siblings) == ([2, 3, 4], ())
    assert entry.expires_at == kept.siblings[0].expires_at
    with pytest.raises(NotFound):
        store.update("none", len)


def test_a_namespace_is_not_a_prefix(store: kvorum.Embedded) -> None:
    with pytest.raises(WrongType, match="namespace="):
        list(store.scan(5))  # type: ignore[arg-type]


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.dictionaries(words, st.integers() | st.none() | st.text()), gone=st.sets(words))
def test_a_mapping_is_the_dict_that_was_put_in(
    store: kvorum.Embedded, values: dict[str, object], gone: set[str]
) -> None:
    mapping = store.mapping("m/")
    mapping.clear()
    mapping.update(values)
    model = dict(values)
    for key in gone:
        assert mapping.pop(key, "none") == model.pop(key, "none")
    assert mapping == model
    assert (len(mapping), set(mapping), bool(mapping)) == (len(model), set(model), bool(model))
    assert all(key in mapping and mapping[key] == value for key, value in model.items())

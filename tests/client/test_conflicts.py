"""What reads return of a key that holds siblings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kit.http_store import StoreDouble

import kvorum
from kvorum.client.synchronous import Client
from kvorum.errors import ConfigError, SiblingsFound, WrongType


@pytest.fixture
def client(store: StoreDouble) -> Iterator[Client]:
    store.put("k", 1, 2)
    store.put("one", 5)
    with kvorum.connect(store.url) as client:
        yield client


def test_the_latest_is_returned_unless_something_else_is_said(client: Client) -> None:
    assert client.get("k") == 2
    assert client.get("k", on_conflict="latest") == 2
    assert client.get_many(["k", "one"]) == {"k": 2, "one": 5}


def test_siblings_raise_where_that_is_wanted(client: Client) -> None:
    with pytest.raises(SiblingsFound, match="'k' holds 2 concurrent values") as caught:
        client.get("k", on_conflict="raise")
    assert [sibling.value for sibling in caught.value.entry.siblings] == [2, 1]
    assert (caught.value.code, caught.value.outcome) == ("siblings_found", "none")
    with pytest.raises(SiblingsFound):
        client.get_many(["one", "k"], on_conflict="raise")
    with pytest.raises(SiblingsFound):
        client.mapping(on_conflict="raise")["k"]
    with pytest.raises(SiblingsFound):
        list(client.mapping(on_conflict="raise").values())
    assert client.get("one", on_conflict="raise") == 5
    assert len(client.get_entry("k").siblings) == 2


def test_a_function_decides_and_nothing_is_written(store: StoreDouble, client: Client) -> None:
    assert client.get("k", on_conflict=sum) == 3
    assert client.get_many(["k", "one"], on_conflict=max) == {"k": 2, "one": 5}
    assert dict(client.mapping(on_conflict=min)) == {"k": 1, "one": 5}
    assert len(store.held["default", "k"]) == 2


def test_a_function_may_use_the_client(client: Client) -> None:
    assert client.get("k", on_conflict=lambda values: client.get("one")) == 5


def test_a_client_has_an_answer_of_its_own(store: StoreDouble, client: Client) -> None:
    with kvorum.connect(store.url, on_conflict="raise") as strict:
        with pytest.raises(SiblingsFound):
            strict.get("k")
        assert strict.get("k", on_conflict="latest") == 2


def test_what_says_nothing_is_refused(store: StoreDouble, client: Client) -> None:
    wrong: list[tuple[Any, type[Exception]]] = [("newest", ConfigError), (5, WrongType)]
    for given, error in wrong:
        with pytest.raises(error, match="on_conflict is"):
            client.get("k", on_conflict=given)
        with pytest.raises(error, match="on_conflict is"):
            kvorum.connect(store.url, on_conflict=given)
    assert store.requests == []

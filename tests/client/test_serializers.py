"""Values that JSON cannot hold: serializers of a client and of a call."""

from __future__ import annotations

import base64
import pickle
import zlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.http_store import StoreDouble

import kvorum
from kvorum.client.serializers import Serializing, packed, serializer_of
from kvorum.client.synchronous import Client
from kvorum.errors import ConfigError, InvalidValue, WrongType


@pytest.fixture
def client(store: StoreDouble) -> Iterator[Client]:
    with kvorum.connect(store.url) as client:
        yield client


def stored(store: StoreDouble, key: str) -> bytes:
    return base64.b64decode(store.value(key))


def test_a_call_chooses_its_serializer(store: StoreDouble, client: Client) -> None:
    value = {"half": Fraction(1, 2), 3: (1, 2)}
    assert client.set("k", value, serializer="pickle").value == value
    assert pickle.loads(stored(store, "k")) == value
    assert client.get("k", serializer="pickle") == value
    assert client.get_many(["k"], serializer="pickle") == {"k": value}
    assert [e.value for e in client.scan(serializer="pickle")] == [value]
    assert client.delete("k", serializer="pickle").value == value


def test_a_client_has_a_serializer(store: StoreDouble) -> None:
    with kvorum.connect(store.url, serializer="msgpack") as client:
        client.set_many({"a": {1: b"one"}, "b": b"bytes"})
        assert msgspec.msgpack.decode(stored(store, "a")) == {1: b"one"}
        assert client.get_many(["a", "b"]) == {"a": {1: b"one"}, "b": b"bytes"}
        assert client.update("a", lambda it: {**it, 2: b"two"}).value == {1: b"one", 2: b"two"}
        assert client.pop("a") == {1: b"one", 2: b"two"}
        assert client.set("k", b"as it is", serializer="json").value == b"as it is"
        assert stored(store, "k") == b"as it is"


def test_nothing_is_unpickled_unasked(store: StoreDouble, client: Client) -> None:
    client.set("k", {"a": 1}, serializer="pickle")
    assert client.get("k") == pickle.dumps({"a": 1})


def test_json_stays_json_whatever_the_serializer(store: StoreDouble) -> None:
    store.put("k", {"a": [1]})
    with kvorum.connect(store.url, serializer="pickle") as client:
        assert client.get("k") == {"a": [1]}


def test_siblings_are_read_by_the_serializer(client: Client) -> None:
    first = client.set("k", {1}, serializer="pickle").version
    client.set("k", {2}, version=first, serializer="pickle")
    client.set("k", {3}, version=first, serializer="pickle")
    assert client.get("k", serializer="pickle", on_conflict=lambda them: set().union(*them)) == {
        2,
        3,
    }


class Compressed:
    def dumps(self, value: str) -> bytes:
        return zlib.compress(value.encode())

    def loads(self, data: bytes) -> str:
        return zlib.decompress(data).decode()


@pytest.mark.parametrize("own", [Compressed(), (Compressed().dumps, Compressed().loads)])
def test_an_own_serializer_is_an_object_or_a_pair(
    store: StoreDouble, client: Client, own: Serializing
) -> None:
    client.set("k", "text" * 100, serializer=own)
    assert len(stored(store, "k")) < 40
    assert client.get("k", serializer=own) == "text" * 100
    assert list(client.mapping(serializer=own).items()) == [("k", "text" * 100)]


def test_a_serializer_that_fails_is_told(store: StoreDouble, client: Client) -> None:
    with pytest.raises(InvalidValue, match=r"of type generator into bytes \(TypeError: .*pickle"):
        client.set("k", (n for n in "ab"), serializer="pickle")
    (result,) = client.set_many([("k", object())], serializer="msgpack")
    assert isinstance(result, InvalidValue)
    with pytest.raises(WrongType, match="returned str, which is not bytes"):
        client.set("k", 1, serializer=(str, int))
    assert store.values() == {}
    client.set("k", b"not pickled")
    with pytest.raises(InvalidValue, match="cannot read the 11 stored bytes"):
        client.get("k", serializer="pickle")
    assert isinstance(client.get_many(["k"], serializer="pickle")["k"], InvalidValue)


def test_a_serializer_that_is_none_is_refused(store: StoreDouble, client: Client) -> None:
    wrong: list[tuple[Any, type[Exception]]] = [
        ("yaml", ConfigError),
        (object(), WrongType),
        ((1, 2), WrongType),
    ]
    for choice, error in wrong:
        with pytest.raises(error, match="serializer"):
            client.get("k", serializer=choice)
        with pytest.raises(error, match="serializer"):
            kvorum.connect(store.url, serializer=choice)
    assert store.requests == []


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers(0, 99) | st.text(), inner),
)


@given(value=values)
def test_what_is_written_is_read(value: Any) -> None:
    for name in ("pickle", "msgpack"):
        serializer = serializer_of(name)
        assert serializer is not None
        data = packed(value, serializer)
        assert isinstance(data, bytes)
        assert serializer.read(data) == value

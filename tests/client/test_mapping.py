"""A part of a store as a dict, held against a dict."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.http_store import StoreDouble, store_double

import kvorum
from kvorum.client.synchronous import Client
from kvorum.errors import InvalidKey, WrongType

Step = tuple[str, str, int]


@pytest.fixture
def client(store: StoreDouble) -> Iterator[Client]:
    with kvorum.connect(store.url) as client:
        yield client


def test_keys_are_shown_without_the_prefix(store: StoreDouble, client: Client) -> None:
    store.put("other", 0)
    cart = client.mapping("cart:7:")
    assert isinstance(cart, MutableMapping)
    cart["book"] = 2
    cart.update(pen=1, ink=5)
    assert store.value("cart:7:book") == 2
    assert cart == {"book": 2, "pen": 1, "ink": 5}
    assert (len(cart), sorted(cart), "pen" in cart) == (3, ["book", "ink", "pen"], True)
    assert sorted(cart.items()) == [("book", 2), ("ink", 5), ("pen", 1)]
    assert sorted(cart.values()) == [1, 2, 5]
    del cart["pen"]
    cart.clear()
    assert not cart
    assert store.values() == {"other": 0}


def test_what_is_not_there_is_a_key_error(client: Client) -> None:
    mapping = client.mapping()
    for missing in ("none", "", "k" * 2000):
        with pytest.raises(KeyError, match=r"^'"):
            mapping[missing]
        with pytest.raises(KeyError):
            del mapping[missing]
        with pytest.raises(KeyError):
            mapping.pop(missing)
        assert mapping.pop(missing, 5) == 5
        assert mapping.get(missing) is None
        assert missing not in mapping
    with pytest.raises(KeyError, match="is empty"):
        mapping.popitem()


def test_what_cannot_be_a_key_is_refused(store: StoreDouble, client: Client) -> None:
    mapping: Any = client.mapping()
    with pytest.raises(InvalidKey):
        mapping[""] = 1
    with pytest.raises(InvalidKey):
        mapping.update({"a": 1, "": 2})
    with pytest.raises(WrongType):
        mapping[5] = 1
    assert 5 not in mapping
    assert store.values() == {"a": 1}


def test_a_null_is_a_value(client: Client) -> None:
    mapping = client.mapping()
    mapping["k"] = None
    assert mapping["k"] is None
    assert "k" in mapping
    assert mapping.setdefault("k", 5) is None
    assert mapping.pop("k") is None
    assert "k" not in mapping


def test_it_has_its_own_namespace_and_lifetime(store: StoreDouble, client: Client) -> None:
    mapping = client.mapping("s:", namespace="sessions", ttl=60)
    mapping["a"] = 1
    assert store.values("sessions") == {"s:a": 1}
    assert store.held["sessions", "s:a"][0].expires_at is not None
    assert repr(mapping) == "StoreMapping('s:', namespace='sessions')"
    whole = client.mapping(namespace="sessions")
    whole.clear()
    assert store.values("sessions") == {}


def test_setdefault_yields_to_the_one_who_came_first(store: StoreDouble, client: Client) -> None:
    mapping = client.mapping()

    class Late:
        """Its value is asked for when the key has been looked for already."""

    def write(value: object) -> bytes:
        store.put("k", "first")
        return b"second"

    late = client.mapping(serializer=(write, bytes.decode))
    assert late.setdefault("k", Late()) == "first"
    assert mapping["k"] == "first"


def test_items_come_a_page_at_a_time(store: StoreDouble, client: Client) -> None:
    mapping = client.mapping("m:")
    mapping.update({str(n): n for n in range(50)})
    before = len(store.requests)
    assert dict(mapping.items()) == {str(n): n for n in range(50)}
    assert len(store.requests) == before + 1


keys = st.sampled_from("abcdé")
steps = st.lists(
    st.tuples(
        st.sampled_from(["set", "del", "pop", "setdefault", "update", "popitem", "clear", "look"]),
        keys,
        st.integers(),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_it_behaves_as_a_dict_does(steps: list[Step]) -> None:
    with store_double(page_size=2) as store, kvorum.connect(store.url) as client:
        store.put("beside", 1)
        store.put("m", 2)
        mapping, model = client.mapping("m:"), dict[str, int]()
        for step in steps:
            assert outcome(mapping, step, model) == outcome(model, step, model)
            assert mapping == model
            assert (len(mapping), bool(mapping)) == (len(model), bool(model))
            assert sorted(mapping) == sorted(model)
        assert {key: store.value(key) for key in ("beside", "m")} == {"beside": 1, "m": 2}


def outcome(
    target: MutableMapping[str, int], step: Step, model: dict[str, int]
) -> object | type[Exception]:
    action, key, value = step
    try:
        match action:
            case "set":
                target[key] = value
            case "del":
                del target[key]
            case "pop":
                return target.pop(key)
            case "setdefault":
                return target.setdefault(key, value)
            case "update":
                target.update({key: value, "z": 0})
            case "popitem" if target is not model:
                popped, was = target.popitem()  # Any will do; the dict then pops the same one.
                assert model[popped] == was
                target[popped] = was
                return None
            case "popitem":
                return None if target else KeyError
            case "clear":
                target.clear()
            case "look":
                return key in target, target.get(key), target.get(key, value)
    except KeyError:
        return KeyError
    return None

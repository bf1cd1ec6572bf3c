"""Read, change, write: what `update` and `pop` do when others write too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.http_store import StoreDouble, answer, hang_up, problem, store_double

import kvorum
import kvorum.aio
from kvorum.client.synchronous import Client
from kvorum.errors import (
    ConfigError,
    ConnectionFailed,
    NotFound,
    PreconditionFailed,
    SiblingsFound,
    WrongType,
)


@pytest.fixture
def client(store: StoreDouble) -> Iterator[Client]:
    with kvorum.connect(store.url) as client:
        yield client


def test_a_value_is_changed(store: StoreDouble, client: Client) -> None:
    assert client.update("n", lambda n: n + 1, default=0).created
    entry = client.update("n", lambda n: n + 1, default=0)
    assert (entry.value, store.value("n")) == (2, 2)
    assert store.requests[-1].headers["if-match"] == '"v1"'


def test_without_a_default_there_has_to_be_a_value(store: StoreDouble, client: Client) -> None:
    with pytest.raises(NotFound, match=r"'n'.*default="):
        client.update("n", lambda n: n + 1)
    assert client.update("n", lambda before: [before], default=None).value == [None]


def test_an_update_that_was_overtaken_is_done_again(store: StoreDouble, client: Client) -> None:
    store.put("n", 0)
    seen: list[int] = []

    def one_more(n: int) -> int:
        seen.append(n)
        if len(seen) < 3:
            client.set("n", n + 10)
        return n + 1

    assert client.update("n", one_more).value == 21
    assert seen == [0, 10, 20]


def test_a_new_key_that_another_made_first_is_read_again(client: Client) -> None:
    def one_more(n: int) -> int:
        if n == 0:
            client.set("n", 5)
        return n + 1

    assert client.update("n", one_more, default=0).value == 6


def test_an_update_gives_up_after_its_attempts(store: StoreDouble, client: Client) -> None:
    calls: list[int] = []

    def overtaken(n: int) -> int:
        calls.append(n)
        client.set("n", n + 1)
        return -1

    with pytest.raises(PreconditionFailed, match="'n' was changed by others"):
        client.update("n", overtaken, default=0, attempts=3)
    assert (calls, store.value("n")) == ([0, 1, 2], 3)
    with pytest.raises(WrongType, match="attempts"):
        client.update("n", overtaken, attempts=0)


def test_a_write_of_unknown_outcome_is_not_repeated(store: StoreDouble, client: Client) -> None:
    store.put("n", 1)

    def one_more(n: int) -> int:
        store.script(hang_up())
        return n + 1

    with pytest.raises(ConnectionFailed) as caught:
        client.update("n", one_more)
    assert caught.value.outcome == "unknown"
    assert [seen.method for seen in store.requests] == ["GET", "POST"]


def test_siblings_are_merged_or_told(store: StoreDouble, client: Client) -> None:
    store.put("cart", ["book"], ["pen"])
    with pytest.raises(SiblingsFound, match=r"'cart' holds 2 concurrent values.*merge=") as caught:
        client.update("cart", lambda cart: cart)
    assert [one.value for one in caught.value.entry.siblings] == [["pen"], ["book"]]

    def merge(carts: list[list[str]]) -> list[str]:
        return sorted({item for cart in carts for item in cart})

    entry = client.update("cart", lambda cart: [*cart, "ink"], merge=merge)
    assert (entry.value, entry.siblings) == (["book", "pen", "ink"], ())
    assert client.get_entry("cart").siblings == ()


def test_what_the_function_raises_is_raised(store: StoreDouble, client: Client) -> None:
    store.put("n", 1)
    with pytest.raises(ZeroDivisionError):
        client.update("n", lambda n: n / 0)
    assert store.value("n") == 1


def test_an_entry_keeps_its_lifetime(client: Client) -> None:
    expires_at = client.set("n", 1, ttl=60).expires_at
    assert client.update("n", lambda n: n + 1).expires_at == expires_at
    assert client.update("n", lambda n: n + 1, ttl=90).expires_at != expires_at
    assert client.update("n", lambda n: n + 1, ttl=0).expires_at is None


def test_an_entry_that_does_not_expire_goes_on_so(store: StoreDouble, client: Client) -> None:
    """Whatever the namespace's default."""
    store.put("n", 1)
    client.update("n", lambda n: n + 1)
    assert store.requests[-1].json()["metadata"] == {"ttl": None}


def test_the_timeout_holds_for_all_attempts(client: Client) -> None:
    def overtaken(n: int) -> int:
        client.set("n", n + 1)
        return -1

    with pytest.raises(PreconditionFailed):
        client.update("n", overtaken, default=0, attempts=1_000_000, timeout=0.3)


def test_options_that_are_none_are_refused(store: StoreDouble, client: Client) -> None:
    store.put("n", 1)
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"if_version": "v1"}, TypeError),
        ({"timeout": 0}, ConfigError),
    ]
    for options, error in wrong:
        with pytest.raises(error):
            client.update("n", lambda n: n, **options)
        with pytest.raises(error):
            client.pop("n", **options)
    assert store.requests == []


def test_each_request_gets_the_options_that_concern_it(store: StoreDouble, client: Client) -> None:
    client.update("n", lambda n: n + 1, default=0, r=2, w=3, quorum="sloppy", timeout=5)
    read, write = ({**seen.query} for seen in store.requests)
    assert 0 < int(read.pop("timeout_ms")) <= 5000
    assert 0 < int(write.pop("timeout_ms")) <= 5000
    assert read == {"r": "2", "quorum": "sloppy"}
    assert write == {"w": "3", "quorum": "sloppy"}


def test_an_async_function_needs_the_async_client(store: StoreDouble, client: Client) -> None:
    store.put("n", 1)

    async def one_more(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    with pytest.raises(WrongType, match=r"kvorum\.aio"):
        client.update("n", one_more)

    async def main() -> None:
        async with kvorum.aio.connect(store.url) as client:
            assert (await client.update("n", one_more)).value == 2
            assert (await client.update("n", lambda n: n + 1)).value == 3

    asyncio.run(main())


def test_pop_deletes_what_it_returns(store: StoreDouble, client: Client) -> None:
    store.put("k", 5)
    assert client.pop("k") == 5
    assert store.values() == {}
    with pytest.raises(NotFound):
        client.pop("k")
    assert client.pop("k", None) is None
    assert client.pop("k", default=3) == 3


def test_pop_deletes_nothing_that_it_cannot_return(store: StoreDouble, client: Client) -> None:
    store.put("k", 1, 2)
    with pytest.raises(SiblingsFound):
        client.pop("k", on_conflict="raise")

    def broken(values: list[Any]) -> Any:
        raise KeyError(values[0])

    with pytest.raises(KeyError):
        client.pop("k", on_conflict=broken)
    assert len(store.held["default", "k"]) == 2
    assert client.pop("k", on_conflict=sum) == 3
    assert store.values() == {}


def test_pop_reads_again_what_was_changed_meanwhile(store: StoreDouble, client: Client) -> None:
    def changed(values: list[int]) -> int:
        if len(values) == 2:
            store.put("k", 7)
        return sum(values)

    store.put("k", 1, 2)
    assert client.pop("k", on_conflict=changed) == 7


def test_a_refusal_without_a_condition_is_not_hidden(store: StoreDouble, client: Client) -> None:
    store.put("k", 1)
    store.script(answer(problem(400, "bad_request", detail="no")))
    with pytest.raises(kvorum.errors.RequestError, match="no"):
        client.update("k", lambda n: n)


@settings(max_examples=60, deadline=None)
@given(
    updates=st.lists(
        st.tuples(st.integers(-5, 5), st.lists(st.integers(-5, 5), max_size=3)), max_size=6
    )
)
def test_no_addition_is_lost_among_conflicts(updates: list[tuple[int, list[int]]]) -> None:
    """Each update is overtaken by the others in its list; the sum is that of a model."""
    with store_double() as store, kvorum.connect(store.url) as client:
        expected = 0
        for added, others in updates:
            left = list(others)

            def add(n: int, added: int = added, left: list[int] = left) -> int:
                if left:
                    client.set("n", n + left.pop())
                return n + added

            expected += added + sum(others)
            assert client.update("n", add, default=0).value == expected
            assert client.get("n") == expected

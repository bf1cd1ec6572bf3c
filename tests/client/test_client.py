"""What the client asks of a server, and what it makes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.http_store import StoreDouble, problem, say, store_double
from test_values import json_values

import kvorum
import kvorum.aio
from kvorum.client.options import DEFAULTS
from kvorum.client.synchronous import Client
from kvorum.model.errors import (
    ConfigError,
    InvalidKey,
    InvalidValue,
    InvalidVersion,
    NotFound,
    PreconditionFailed,
    RequestError,
)


@pytest.fixture
def client(store: StoreDouble) -> Iterator[Client]:
    with kvorum.connect(store.url) as client:
        yield client


def test_a_value_is_set_read_and_deleted(client: Client) -> None:
    assert client.get("k") is None
    assert client.get("k", "nothing") == "nothing"
    written = client.set("k", {"a": [1, 2.5, None, True, "ü"]})
    assert written.created
    assert client.get("k", "nothing") == {"a": [1, 2.5, None, True, "ü"]}
    again = client.set("k", 2)
    assert not again.created
    deleted = client.delete("k")
    assert (deleted.key, deleted.value, deleted.version) == ("k", 2, again.version)
    with pytest.raises(NotFound):
        client.get_entry("k")
    with pytest.raises(NotFound):
        client.delete("k")


def test_an_entry_tells_version_clock_and_hash(client: Client) -> None:
    written = client.set("k", 1)
    read = client.get_entry("k")
    assert written.version is not None
    assert (read.key, read.value, read.json) == ("k", 1, b"1")
    assert (read.version, read.clock, read.hash) == (written.version, written.clock, written.hash)
    assert (read.clock[0].node, read.clock[0].counter) == ("n1", 1)
    assert read.siblings == ()


def test_a_write_from_an_old_version_leaves_a_sibling_and_one_from_both_resolves(
    client: Client,
) -> None:
    old = client.set("k", "base").version
    client.set("k", "mine", version=old)
    conflict = client.set("k", "yours", version=old)
    assert [s.value for s in conflict.siblings] == ["yours", "mine"]
    entry = client.get_entry("k")
    assert entry.value == "yours"
    assert [s.value for s in entry.siblings] == ["yours", "mine"]
    assert client.set("k", "ours", version=entry.version).siblings == ()


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with store_double() as double, kvorum.connect(double.url) as client:
        yield client


keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@given(keys, json_values | st.binary())
def test_any_key_and_value_survive_the_way_there_and_back(
    shared: Client, key: str, value: Any
) -> None:
    shared.set(key, value)
    assert repr(shared.get(key)) == repr(value)
    [result] = shared.set_many([(key, [value] if not isinstance(value, bytes) else value)])
    assert isinstance(result, kvorum.Entry)
    assert repr(shared.get_many([key])[key]) == repr(result.value)
    assert shared.delete(key).json == result.json


def test_a_value_is_kept_as_it_was_written(client: Client) -> None:
    client.set("k", msgspec.Raw(b"[1.50, 1E2]"))
    assert client.get_entry("k").json == b"[1.50, 1E2]"


@pytest.mark.parametrize("key", ["", "x" * 1025, "\ud800"])
def test_a_bad_key_is_refused_before_it_is_sent(
    store: StoreDouble, client: Client, key: str
) -> None:
    for call in (client.get, client.get_entry, client.delete, client.locate):
        with pytest.raises(InvalidKey):
            call(key)
    with pytest.raises(InvalidKey):
        client.set(key, 1)
    assert store.requests == []


@pytest.mark.parametrize("key", [5, b"a", None, ("a",)])
def test_a_key_that_is_no_text_is_refused_before_it_is_sent(
    store: StoreDouble, client: Client, key: Any
) -> None:
    wanted = f"A key is a str, not {type(key).__name__}"
    for call in (client.get, client.get_entry, client.delete, client.locate):
        with pytest.raises(InvalidKey, match=wanted):
            call(key)
    with pytest.raises(InvalidKey, match=wanted):
        client.set(key, 1)
    with pytest.raises(InvalidKey, match=wanted):
        client.touch(key, 1)
    with pytest.raises(InvalidKey, match=wanted):
        client.get_many([key])
    [result] = client.set_many([(key, 1)])
    assert isinstance(result, InvalidKey)
    assert store.requests == []


def test_a_value_json_cannot_hold_is_refused_before_it_is_sent(
    store: StoreDouble, client: Client
) -> None:
    with pytest.raises(InvalidValue):
        client.set("k", float("nan"))
    assert store.requests == []


def test_options_go_where_the_api_wants_them(store: StoreDouble, client: Client) -> None:
    client.set("a/b?", b"x", version="v1", namespace="shop", w=2)
    client.get("a/b?", namespace="shop", r=3)
    client.delete("a/b?", version="v9", namespace="shop", w=1)
    put, get, delete = store.requests
    assert put.path == "/entry"
    assert put.json() == {
        "key": "a/b?",
        "value": "eA==",
        "metadata": {"valueVersion": "v1", "encoding": "base64"},
        "namespace": "shop",
    }
    assert put.headers["content-type"] == "application/json"
    assert put.query.items() >= {"w": "2"}.items()
    assert get.path == delete.path == "/entry/a%2Fb%3F"
    assert get.query.items() >= {"r": "3", "namespace": "shop"}.items()
    assert delete.query.items() >= {"valueVersion": "v9", "namespace": "shop", "w": "1"}.items()


@pytest.mark.parametrize("key", [".", ".."])
def test_keys_that_a_proxy_would_take_out_of_a_path_go_in_the_query(
    store: StoreDouble, client: Client, key: str
) -> None:
    store.documents["/locate"] = {"key": key}
    client.set(key, 1)
    assert client.get(key) == 1
    client.touch(key, 60)
    client.locate(key)
    client.delete(key)
    assert client.get(key, None) is None
    asked = [(seen.method, seen.path, seen.query["key"]) for seen in store.requests[1:]]
    assert asked == [
        ("GET", "/entry", key),
        ("PATCH", "/entry", key),
        ("GET", "/locate", key),
        ("DELETE", "/entry", key),
        ("GET", "/entry", key),
    ]


def test_what_is_not_there_says_whether_owners_were_away(
    store: StoreDouble, client: Client
) -> None:
    with pytest.raises(NotFound) as found:
        client.get_entry("k")
    assert (found.value.strict, found.value.hints) == (True, 0)
    store.script(say(problem(404, "not_found", strict=False, hints=2).to_bytes()))
    with pytest.raises(NotFound) as found:
        client.get_entry("k")
    assert (found.value.strict, found.value.hints) == (False, 2)


def test_conditions_are_header_fields(store: StoreDouble, client: Client) -> None:
    client.set("k", 1, if_absent=True)
    client.set("k", 1, if_version="v1")
    client.delete("k", if_version="v2", version="v2")
    fields = [(s.headers.get("if-match"), s.headers.get("if-none-match")) for s in store.requests]
    assert fields == [(None, "*"), ('"v1"', None), ('"v2"', None)]


@pytest.mark.parametrize("version", ["", 'v"', "v\r\nx: y", "ü", "a b"])
def test_a_condition_cannot_smuggle_a_header_field(
    store: StoreDouble, client: Client, version: str
) -> None:
    with pytest.raises(InvalidVersion):
        client.set("k", 1, if_version=version)
    with pytest.raises(InvalidVersion):
        client.delete("k", if_version=version)
    assert store.requests == []


def test_two_conditions_are_one_too_many(client: Client) -> None:
    with pytest.raises(RequestError, match="if_version and if_absent"):
        client.set("k", 1, if_version="v1", if_absent=True)


def test_a_query_keeps_every_character(store: StoreDouble, client: Client) -> None:
    client.set("k", 1)
    store.script(say(problem(400, "invalid_version").to_bytes()))
    with pytest.raises(InvalidVersion):
        client.delete("k", version="a+b c&d=/ü%")
    assert "valueVersion=a%2Bb%20c%26d%3D" in store.requests[-1].target


def test_a_server_is_never_asked_for_more_time_than_it_gives(
    store: StoreDouble, client: Client
) -> None:
    client.set("k", 1, timeout=10_000)
    assert store.requests[0].query["timeout_ms"] == "60000"


def test_the_server_is_told_a_little_less_time_than_there_is(
    store: StoreDouble, client: Client
) -> None:
    client.set("k", 1, timeout=4.0)
    assert 0 < int(store.requests[0].query["timeout_ms"]) < 4000


def test_the_url_sets_namespace_and_timeout(store: StoreDouble) -> None:
    with kvorum.connect(f"{store.url}?namespace=shop&timeout=2") as client:
        client.set("k", 1)
        client.set("k", 2, namespace="other")
    assert store.values("shop") == {"k": 1}
    assert store.values("other") == {"k": 2}
    assert int(store.requests[0].query["timeout_ms"]) < 2000


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_must_be_a_time(client: Client, timeout: float) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        client.get("k", timeout=timeout)


def test_errors_keep_their_types(store: StoreDouble, client: Client) -> None:
    refusal = problem(412, "precondition_failed", detail="another version").to_bytes()
    store.script(say(refusal))
    with pytest.raises(PreconditionFailed, match="another version"):
        client.set("k", 1)


def test_documents_come_as_they_are(store: StoreDouble, client: Client) -> None:
    store.documents = {
        "/status": {"cluster": "c", "nodes": []},
        "/ring": {"partitions": 256},
        "/locate/%C3%BC": {"token": "00"},
    }
    assert client.status() == {"cluster": "c", "nodes": []}
    assert client.ring() == {"partitions": 256}
    assert client.locate("ü", namespace="shop") == {"token": "00"}
    assert store.requests[-1].query == {"namespace": "shop"}


def test_a_scan_goes_through_all_pages() -> None:
    with store_double(page_size=3) as store, kvorum.connect(store.url) as client:
        for n in range(10):
            store.put(f"k{n}", n)
        store.put("other", 1, namespace="other")
        assert {entry.key: entry.value for entry in client.scan()} == {
            f"k{n}": n for n in range(10)
        }
        assert [entry.key for entry in client.scan(namespace="other")] == ["other"]
        assert list(client.scan(namespace="empty")) == []


def test_a_connection_is_used_again(store: StoreDouble, client: Client) -> None:
    for n in range(20):
        client.set("k", n)
    assert {seen.connection for seen in store.requests} == {1}


def test_a_connection_idle_for_long_is_not(
    store: StoreDouble, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.set("k", 1)
    monkeypatch.setattr("kvorum.client.pool.IDLE_S_MAX", -1.0)
    client.set("k", 2)
    assert [seen.connection for seen in store.requests] == [1, 2]


def test_many_calls_at_once_share_a_bounded_number_of_connections(store: StoreDouble) -> None:
    async def main() -> None:
        async with kvorum.aio.connect(store.url) as client:
            await asyncio.gather(*(client.set(f"k{n}", n) for n in range(500)))

    asyncio.run(main())
    assert store.values() == {f"k{n}": n for n in range(500)}
    assert len({seen.connection for seen in store.requests}) <= DEFAULTS.connections


def test_the_async_client_has_the_same_methods() -> None:
    def methods(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert methods(kvorum.AsyncClient) | {"mapping"} == methods(kvorum.Client)


def test_the_async_client_does_what_the_sync_one_does(store: StoreDouble) -> None:
    async def main() -> None:
        async with kvorum.aio.connect(store.url) as client:
            assert (await client.set("k", 10**40)).created
            assert await client.get("k") == 10**40
            assert await client.get("none", 5) == 5
            assert (await client.get_entry("k")).value == 10**40
            assert [entry.key async for entry in client.scan()] == ["k"]
            assert (await client.delete("k")).value == 10**40
            store.documents = {"/status": {"a": 1}, "/ring": {"b": 2}, "/locate/k": {"c": 3}}
            assert await client.status() == {"a": 1}
            assert await client.ring() == {"b": 2}
            assert await client.locate("k") == {"c": 3}

    asyncio.run(main())


def test_a_closed_client_says_so(store: StoreDouble) -> None:
    async def main() -> None:
        client = kvorum.aio.connect(store.url)
        await client.set("k", 1)
        await client.close()
        await client.close()
        with pytest.raises(ConfigError, match="closed"):
            await client.get("k")
        with pytest.raises(ConfigError, match="closed"):
            await client.set_many({"k": 1})

    asyncio.run(main())


def test_an_async_client_belongs_to_one_event_loop(store: StoreDouble) -> None:
    client = kvorum.aio.connect(store.url)

    async def first() -> None:
        await client.set("k", 1)
        await client.close()

    asyncio.run(first())
    with pytest.raises(ConfigError):
        asyncio.run(client.get("k"))


def test_lifetimes_reach_the_server_and_its_answers_say_so(store: StoreDouble) -> None:
    with kvorum.connect(store.url) as client:
        assert client.set("k", 1).expires_at is None
        assert "metadata" not in store.requests[-1].json()
        assert client.set("k", 1, ttl=60).expires_at == 1_700_000_060_000
        assert store.requests[-1].json()["metadata"] == {"ttl": 60}
        client.set("k", 1, ttl=0)
        assert store.requests[-1].json()["metadata"] == {"ttl": None}
        client.set_many({"a": 1, "b": b"x"}, ttl=5)
        assert [item["metadata"] for item in store.requests[-1].json()["entries"]] == [
            {"ttl": 5},
            {"encoding": "base64", "ttl": 5},
        ]
        version = client.set("k", 1, expires_at=1_800_000_000_000).version
        assert store.requests[-1].json()["metadata"] == {"expiresAt": 1_800_000_000_000}
        assert client.touch("k", 60, if_version=version) == 1_700_000_060_000
        touched = store.requests[-1]
        assert (touched.method, touched.path) == ("PATCH", "/entry/k")
        assert touched.json() == {"metadata": {"ttl": 60}}
        assert touched.headers["if-match"] == f'"{version}"'
        asked = len(store.requests)
        for ttl, expires_at in ((-1, None), (10**30, None), (None, 0), (1, 5)):
            with pytest.raises(RequestError):
                client.set("k", 2, ttl=ttl, expires_at=expires_at)
        assert len(store.requests) == asked

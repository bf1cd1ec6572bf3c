"""Lifetimes, and values that Python cannot hold, in all three stores of the Python API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kit.http_store import StoreDouble

import kvorum
from kvorum.errors import InvalidValue, RequestError, WrongType

Store = Any


class Awaited:
    """An asynchronous client, behind blocking methods."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self._client = kvorum.aio.connect(url)
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        async def call(*args: Any, **options: Any) -> Any:
            return await method(*args, **options)

        return lambda *args, **options: self._runner.run(call(*args, **options))


@pytest.fixture(params=["client", "async client", "embedded"])
def kv(request: pytest.FixtureRequest, store: StoreDouble, tmp_path: Path) -> Iterator[Store]:
    if request.param == "client":
        with kvorum.connect(store.url) as client:
            yield client
    elif request.param == "async client":
        with asyncio.Runner() as runner:
            awaited = Awaited(store.url, runner)
            yield awaited
            awaited.close()
    else:
        with kvorum.open(tmp_path) as embedded:
            yield embedded


def lifetime_s(entry: kvorum.Entry) -> int:
    """Of what has just been written."""
    assert entry.expires_at is not None
    return round((entry.expires_at - entry.clock[0].timestamp) / 1000)


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (5, 5),
        (timedelta(minutes=2), 120),
        (timedelta(milliseconds=1), 1),
        (timedelta(days=1, microseconds=1), 86401),
    ],
)
def test_a_ttl_is_seconds_or_a_timedelta(kv: Store, ttl: int | timedelta, seconds: int) -> None:
    entry = kv.set("k", 1, ttl=ttl)
    assert lifetime_s(entry) == seconds
    (entry,) = kv.set_many({"l": 1}, ttl=ttl)
    assert lifetime_s(entry) == seconds
    assert kv.touch("k", ttl) == kv.get_entry("k").expires_at
    assert kv.touch("k", 0) is None


@pytest.mark.parametrize("ttl", ["5", 1.5, True, b"5", [5]])
def test_what_is_no_time_is_a_type_error_of_our_own(kv: Store, ttl: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: kv.set("k", 1, ttl=ttl),
        lambda: kv.set_many({"k": 1}, ttl=ttl),
        lambda: kv.touch("k", ttl),
        lambda: kv.set("k", 1, expires_at=ttl),
    ]
    for call in calls:
        with pytest.raises(WrongType, match="is a number of") as refused:
            call()
        assert isinstance(refused.value, TypeError)
        assert isinstance(refused.value, RequestError)
    assert kv.get("k") is None


def test_a_time_that_is_over_is_refused(kv: Store) -> None:
    for ttl in (timedelta(), timedelta(-1), -1):
        with pytest.raises(RequestError):
            kv.set("k", 1, ttl=ttl)
    with pytest.raises(RequestError, match="Both ttl and expires_at"):
        kv.set("k", 1, ttl=1, expires_at=2)


def test_a_value_that_python_cannot_hold_fails_alone(kv: Store) -> None:
    kv.set("good", [1])
    kv.set("infinite", msgspec.Raw(b"1e400"))
    kv.set("long", msgspec.Raw(b"9" * 5000))
    unfit = ["long"]
    if isinstance(kv, kvorum.Embedded):  # a server refuses it
        kv.set("deep", msgspec.Raw(b"[" * 100_000 + b"]" * 100_000))
        unfit.append("deep")
    keys = ["good", "infinite", *unfit, "missing"]
    values = kv.get_many(keys)
    assert values["good"] == [1]
    assert values["infinite"] == float("inf")
    for key in unfit:
        assert isinstance(values[key], InvalidValue)
        assert repr(key) in str(values[key])
        with pytest.raises(InvalidValue):
            kv.get(key)
    assert "missing" not in values
    assert kv.get_entries(["long"])[0].json == b"9" * 5000

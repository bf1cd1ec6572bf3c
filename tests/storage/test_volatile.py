"""Entries kept in memory: bounded, in order, evicted whole, and apart from all others."""

from __future__ import annotations

import gc
import tracemalloc
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.runtime import Answers, Pump

from kvorum.model.keys import storage_key
from kvorum.model.topology import Eviction, NamespaceSettings
from kvorum.storage.memory import MemoryStore
from kvorum.storage.routed import RoutedStore, volatile_stores
from kvorum.storage.volatile import ENTRY_OVERHEAD_BYTES, VolatileStore

BITS = 4
ALL = (b"d", b"e", 1 << 20)
TOKENS = st.sampled_from([bytes(16), b"\x00\x10" + bytes(14), b"\x7f" * 16, b"\xff" * 16])
KEYS = st.builds(
    storage_key, TOKENS, st.just("s"), st.binary(max_size=2).map(bytes.hex).map(str.encode)
)


def key_of(number: int, namespace: str = "s") -> bytes:
    token = (number * 0x9E3779B97F4A7C15 % (1 << 64)).to_bytes(8)
    return storage_key(token, namespace, b"%06d" % number)


@pytest.mark.parametrize("eviction", get_args(Eviction))
@given(st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=400)), max_size=60))
def test_it_holds_a_part_of_what_was_put_last_within_its_bound(
    eviction: Eviction, writes: list[tuple[bytes, bytes | None]]
) -> None:
    pump, bytes_max = Pump(), 2000
    store = VolatileStore(pump, bytes_max, eviction, BITS)
    answers, last = Answers(), dict[bytes, bytes]()
    for number, (key, value) in enumerate(writes):
        if value is None:
            last.pop(key, None)
            store.delete(key, answers.done, number)
            assert store.get(key) is None
        else:
            last[key] = value
            store.put(key, value, answers.done, number)
            assert store.get(key) == value
        held = store.scan(*ALL)
        assert held == sorted(pair for pair in held if last[pair[0]] == pair[1])
        size = sum(len(k) + len(v) + ENTRY_OVERHEAD_BYTES for k, v in held)
        assert size == store.status().bytes <= bytes_max
        entries = [value for _, value in held if value]
        assert store.counts.total == (len(entries), sum(map(len, entries)))
    pump.drain()
    assert answers.args == list(range(len(writes)))
    assert not any(answers.errors)


def test_an_entry_larger_than_the_whole_is_gone_and_leaves_the_others() -> None:
    pump = Pump()
    store, answers = VolatileStore(pump, 4096, "lru", BITS), Answers()
    store.put(key_of(1), b"small", answers.done, 1)
    store.put(key_of(2), b"small", answers.done, 2)
    store.put(key_of(2), bytes(5000), answers.done, 3)
    pump.drain()
    assert store.scan(*ALL) == [(key_of(1), b"small")]
    assert answers.args == [1, 2, 3]
    assert store.status().evicted == 1


@pytest.mark.parametrize("eviction", get_args(Eviction))
def test_what_it_says_it_holds_is_what_it_takes(eviction: Eviction) -> None:
    """Of what Python allocates; the maps' own tables are Rust's, a few dozen bytes an entry."""
    pump = Pump()
    gc.collect()
    tracemalloc.start()
    try:
        store = VolatileStore(pump, 2_000_000, eviction, BITS)
        for number in range(8_000):
            store.put(key_of(number), b"%0400d" % number, answered, None)
            pump.drain()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store.status().evicted > 2_500
    assert taken < store.status().bytes < 2_000_000


def answered(_arg: object, _error: object) -> None:
    """Nobody waits."""


def test_a_scan_is_no_use_of_what_it_finds() -> None:
    pump = Pump()
    store = VolatileStore(pump, 10 * (len(key_of(1)) + 10 + ENTRY_OVERHEAD_BYTES), "lru", BITS)
    for number in range(10):
        store.put(key_of(number), bytes(10), answered, None)
    store.scan(key_of(0), key_of(0) + b"\0", 1)
    store.put(key_of(10), bytes(10), answered, None)
    assert store.get(key_of(0)) is None


SETTINGS = {
    "default": NamespaceSettings.majority(1),
    "s": NamespaceSettings(replicas=1, read=1, write=1, durability="none", max_memory=1 << 20),
    "t": NamespaceSettings(replicas=1, read=1, write=1, durability="none", max_memory=1 << 20),
}


def test_records_go_where_their_namespace_lives_and_are_scanned_in_one_order() -> None:
    pump = Pump()
    durable = MemoryStore(pump)
    store = RoutedStore(durable, volatile_stores(SETTINGS, pump, BITS))
    keys = [key_of(number, namespace) for number in range(40) for namespace in SETTINGS]
    for key in keys:
        store.put(key, key[::-1], answered, None)
    store.put(b"hn1\0" + key_of(3), b"", answered, None)
    assert store.scan(*ALL) == sorted((key, key[::-1]) for key in keys)
    assert store.scan(*ALL[:2], 7) == store.scan(*ALL)[:7]
    assert {key for key, _ in durable.scan(b"", b"z", 1000)} == {
        b"hn1\0" + key_of(3),
        *(key_of(number, "default") for number in range(40)),
    }
    store.delete(key_of(5), answered, None)
    assert store.get(key_of(5)) is None
    assert store.get(key_of(6)) == key_of(6)[::-1]
    assert {name: status.entries for name, status in store.status().items()} == {"s": 39, "t": 40}


def test_a_full_namespace_takes_nothing_from_another() -> None:
    pump = Pump()
    store = RoutedStore(MemoryStore(pump), volatile_stores(SETTINGS, pump, BITS))
    for number in range(100):
        store.put(key_of(number, "t"), bytes(100), answered, None)
        store.put(key_of(number, "default"), bytes(100), answered, None)
    for number in range(10_000):
        store.put(key_of(number, "s"), bytes(100), answered, None)
    status = store.status()
    assert status["s"].evicted > 0
    assert status["t"].entries == 100
    assert status["t"].evicted == 0
    assert all(store.get(key_of(number, "default")) for number in range(100))

"""The sealed store is an ordered map of plain pairs, whatever lies below; and below lies no
plain text. Damage below is told apart from absence.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.vaults import (
    NAMESPACES,
    not_damaged,
    note_key,
    record_key,
    record_of,
    sealed_store,
    vault_of,
)

from kvorum.model.errors import CorruptRecord
from kvorum.model.topology import Eviction
from kvorum.runtime.inline import InlineRuntime
from kvorum.sealing.row_cache import RowCache
from kvorum.sealing.sealed_store import SealedStore
from kvorum.storage.memory import MemoryStore
from kvorum.storage.store import COLD, Cold

EVICTIONS: dict[str, Eviction] = dict.fromkeys(NAMESPACES, "lru")
ALL = (b"\0", b"\xff" * 8)


def ignore(_arg: object, _error: object) -> None:
    """Nobody waits."""


def unheard(_arg: object) -> None:
    raise AssertionError("it was in memory")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vault")
    vault_of(path, MemoryStore(InlineRuntime()))  # makes the keys once, for all examples
    return path


# Few tokens and names, so that keys meet in one group and bounds fall on keys.
tokens = st.sampled_from([0, 1, 2, (1 << 64) - 1])
names = st.sampled_from([b"a", b"a\0b", b"b", "ключ".encode(), b"\x7f" * 30, b"z" * 1024])
records = st.builds(record_key, tokens, st.sampled_from(sorted(NAMESPACES)), names)
notes = st.builds(note_key, st.sampled_from(["n1", "n2"]), records)
keys = records | notes | st.sampled_from([b"mn1", b"r", b"f2"])
ends = st.sampled_from([b"", b"\0", b"\xff"])
bounds = (
    st.builds(bytes.__add__, keys, ends)
    | st.sampled_from([b"d", b"e", b"h", b"i", b"m", b"hn1\0", b"hn1\x01"])
    | st.builds(lambda token: b"d" + token.to_bytes(8), tokens)
)
values = st.binary(max_size=200)
steps = st.lists(
    st.tuples(st.just("put"), keys, values)
    | st.tuples(st.just("delete"), keys)
    | st.tuples(st.just("get"), keys)
    | st.tuples(st.just("scan"), bounds, bounds, st.integers(0, 5)),
    max_size=60,
)


def value_for(key: bytes, value: bytes) -> bytes:
    return record_of(key, value) if key[:1] == b"d" else value[:16]


@given(steps=steps, cached=st.booleans())
@settings(max_examples=200, deadline=None)
def test_it_is_the_map_that_was_put(directory: Path, steps: list[tuple], cached: bool) -> None:  # type: ignore[type-arg]
    inner = MemoryStore(InlineRuntime())
    seal = vault_of(directory, inner).seal
    store = SealedStore(inner, seal, not_damaged, RowCache(1 << 20 if cached else 0, EVICTIONS))
    model: dict[bytes, bytes] = {}
    for step in steps:
        match step:
            case ("put", key, value):
                model[key] = value_for(key, value)
                store.write(key, model[key])
            case ("delete", key):
                model.pop(key, None)
                store.write(key, None)
            case ("get", key):
                assert store.get(key) == model.get(key)
                assert store.find(key, unheard, None) == model.get(key)
            case ("scan", start, end, limit) if start[:1] == end[:1] or (start[:1], end) in (
                (b"d", b"e"),
                (b"h", b"i"),
            ):
                wanted = sorted(pair for pair in model.items() if start <= pair[0] < end)
                assert store.scan(start, end, limit) == wanted[:limit]
    for kind in (b"d", b"h"):
        start, end = kind, bytes([kind[0] + 1])
        wanted = sorted(pair for pair in model.items() if start <= pair[0] < end)
        assert store.scan(start, end, 1000) == wanted


def test_below_there_is_no_plain_text_but_of_unencrypted_namespaces(tmp_path: Path) -> None:
    inner = MemoryStore(InlineRuntime())
    store, _ = sealed_store(tmp_path, inner)
    for namespace in NAMESPACES:
        key = record_key(5, namespace, b"customer-4711")
        store.write(key, record_of(key, b'"' + b"iban" * 20 + b'"'))
        store.write(note_key("n2", key), bytes(16))
    pairs = inner.scan(*ALL, 100)
    assert len(pairs) == 6
    unencrypted = [pair for pair in pairs if b"customer-4711" in pair[0]]
    assert len(unencrypted) == 2
    for stored_key, sealed in set(pairs) - set(unencrypted):
        assert b"customer" not in stored_key + sealed
        assert b"iban" not in sealed
        assert b"default" not in stored_key


def test_the_same_record_of_two_keys_looks_different(tmp_path: Path) -> None:
    inner = MemoryStore(InlineRuntime())
    store, _ = sealed_store(tmp_path, inner)
    for name in (b"a", b"b"):
        note = note_key("n1", record_key(5, "plain", name))
        store.write(note, bytes(16))
    (key_a, a), (key_b, b) = inner.scan(*ALL, 10)
    assert key_a != key_b
    assert a[3:] != b[3:]


@pytest.mark.parametrize("namespace", ["default", "plain"])
def test_a_record_with_any_flipped_bit_is_damaged_and_told(tmp_path: Path, namespace: str) -> None:
    inner = MemoryStore(InlineRuntime())
    store, _ = sealed_store(tmp_path, inner)
    key = record_key(9, namespace, b"k")
    store.write(key, record_of(key, b"[" + b"1, " * 60 + b"1]"))
    ((stored_key, sealed),) = inner.scan(*ALL, 10)
    for at in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[at] ^= 1 << at % 8
        inner.write(stored_key, bytes(damaged))
        fresh, damages = sealed_store(tmp_path, inner)  # its cache is empty
        with pytest.raises(CorruptRecord):
            fresh.get(key)
        with pytest.raises(CorruptRecord):
            fresh.find(key, unheard, None)
        assert fresh.scan(b"d", b"e", 10) == []
        assert damages.keys == [stored_key] * 3


class ColdStore(MemoryStore):
    """What is asked for is on its way."""

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> Cold:  # type: ignore[override]
        then(arg)
        return COLD


def test_what_is_cold_below_is_cold_above(tmp_path: Path) -> None:
    inner = ColdStore(InlineRuntime())
    store, damages = sealed_store(tmp_path, inner)
    key, heard = record_key(9, "default", b"k"), list[str]()
    store.write(key, record_of(key, b"1"))
    assert store.find(key, heard.append, "cached") == record_of(key, b"1")
    fresh, _ = sealed_store(tmp_path, inner)
    assert fresh.find(key, heard.append, "fetched") is COLD
    assert heard == ["fetched"]
    assert fresh.get(key) == record_of(key, b"1")
    assert fresh.find(key, heard.append, "cached by now") == record_of(key, b"1")
    assert damages.keys == []


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 10, 18])
def test_a_record_cut_short_is_damaged(tmp_path: Path, cut: int) -> None:
    inner = MemoryStore(InlineRuntime())
    store, _ = sealed_store(tmp_path, inner)
    key = record_key(9, "default", b"k")
    store.write(key, record_of(key, b"1"))
    ((stored_key, sealed),) = inner.scan(*ALL, 10)
    inner.write(stored_key, sealed[:cut])
    fresh, _ = sealed_store(tmp_path, inner)
    with pytest.raises(CorruptRecord):
        fresh.get(key)


def test_a_record_moved_to_another_key_does_not_open(tmp_path: Path) -> None:
    inner = MemoryStore(InlineRuntime())
    store, _ = sealed_store(tmp_path, inner)
    mine, other = record_key(9, "default", b"mine"), record_key(9, "default", b"other")
    store.write(mine, record_of(mine, b'"mine"'))
    ((_, sealed),) = inner.scan(*ALL, 10)
    inner.write(store.seal.stored_key(other), sealed)
    fresh, _ = sealed_store(tmp_path, inner)
    with pytest.raises(CorruptRecord):
        fresh.get(other)
    assert fresh.get(mine) is not None


@pytest.mark.parametrize("namespace", sorted(NAMESPACES))
def test_what_merges_to_a_large_record_opens_again(tmp_path: Path, namespace: str) -> None:
    key = record_key(1, namespace, b"large")
    value = record_of(key, b"ab" * (6 << 20))
    runtime = InlineRuntime()
    inner = MemoryStore(runtime)
    store, _ = sealed_store(tmp_path, inner)
    store.write(key, value)
    runtime.turn()
    again, damages = sealed_store(tmp_path, inner)
    assert again.get(key) == value
    assert damages.keys == []


@pytest.mark.parametrize("namespace", sorted(NAMESPACES))
def test_what_could_not_be_opened_is_not_sealed(
    tmp_path: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvorum.sealing.seal.PLAIN_BYTES_MAX", 1000)
    key = record_key(1, namespace, b"large")
    store, _ = sealed_store(tmp_path, MemoryStore(InlineRuntime()))
    with pytest.raises(CorruptRecord, match="too long to be stored"):
        store.write(key, record_of(key, b"a" * 1001))
    assert store.get(key) is None


def test_a_damaged_record_is_not_sealed(tmp_path: Path) -> None:
    inner = MemoryStore(InlineRuntime())
    store, _ = sealed_store(tmp_path, inner)
    key = record_key(9, "default", b"k")
    data = bytearray(record_of(key, b"1"))
    data[-1] ^= 1
    with pytest.raises(CorruptRecord):
        store.write(key, bytes(data))
    assert inner.scan(*ALL, 10) == []
    assert store.get(key) is None


def test_a_damaged_record_is_replaced_by_a_sound_one(tmp_path: Path) -> None:
    inner = MemoryStore(InlineRuntime())
    store, _ = sealed_store(tmp_path, inner)
    key = record_key(9, "default", b"k")
    store.write(key, record_of(key, b"1"))
    ((stored_key, sealed),) = inner.scan(*ALL, 10)
    inner.write(stored_key, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    fresh, _ = sealed_store(tmp_path, inner)
    fresh.write(key, record_of(key, b"2", 2))
    again, damages = sealed_store(tmp_path, inner)
    assert again.get(key) == record_of(key, b"2", 2)
    assert damages.keys == []
    assert len(inner.scan(*ALL, 10)) == 1

"""The contract of `storage/store.py`, held against every implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.runtime import Answers, Pump

from kvorum.model.errors import StorageError
from kvorum.runtime.ports import Runtime
from kvorum.storage.engine import EngineSettings, open_engine
from kvorum.storage.memory import MemoryStore
from kvorum.storage.rocks import RocksStore
from kvorum.storage.routed import RoutedStore
from kvorum.storage.store import FlushTarget, Store
from kvorum.storage.syncer import InlineSyncer, NoSyncer, Syncer, ThreadSyncer
from kvorum.storage.volatile import VolatileStore

FIRST, LAST = b"", b"\xff" * 8


def unheard(_arg: object) -> None:
    raise AssertionError("it was in memory")


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


def rocks(path: Path, runtime: Runtime, syncer: Syncer) -> RocksStore:
    return RocksStore(open_engine(path, EngineSettings()), runtime, syncer, never)


SYNCERS: dict[str, Callable[[Pump], Syncer]] = {
    "thread": lambda pump: ThreadSyncer(pump, pump.call_threadsafe),
    "inline": lambda pump: InlineSyncer(pump.call_soon),
    "os": lambda pump: NoSyncer(pump.call_soon),
}


class Subject(NamedTuple):
    store: Store
    pump: Pump


@pytest.fixture(params=["memory", "volatile", "routed"])
def subject(request: pytest.FixtureRequest) -> Subject:
    pump = Pump()
    if request.param == "memory":
        return Subject(MemoryStore(pump), pump)
    kept = VolatileStore(pump, 1 << 20, "lru", 8)
    if request.param == "volatile":
        return Subject(kept, pump)
    return Subject(RoutedStore(MemoryStore(pump), {"sessions": kept}), pump)


def test_a_write_is_seen_before_it_is_durable(subject: Subject) -> None:
    store, pump = subject
    answers = Answers()
    store.put(b"a", b"1", answers.done, 1)
    assert store.get(b"a") == b"1"
    assert store.scan(FIRST, LAST, 10) == [(b"a", b"1")]
    store.put(b"a", b"2", answers.done, 2)
    assert store.get(b"a") == b"2"
    store.delete(b"a", answers.done, 3)
    assert store.get(b"a") is None
    assert store.scan(FIRST, LAST, 10) == []
    assert answers.args == []
    pump.run_until(lambda: len(answers.args) == 3)
    assert store.get(b"a") is None


def test_each_done_is_called_once_in_the_order_of_the_writes(subject: Subject) -> None:
    store, pump = subject
    answers = Answers()
    for number in range(200):
        if number % 7 == 3:
            store.delete(b"k%d" % (number - 1), answers.done, number)
        else:
            store.put(b"k%d" % number, b"v", answers.done, number)
        if number % 11 == 0:
            pump.turn()
    pump.run_until(lambda: len(answers.args) >= 200)
    pump.drain()
    assert answers.args == list(range(200))
    assert answers.errors == [None] * 200


def test_a_write_made_in_a_done_callback_is_one_like_any_other(subject: Subject) -> None:
    store, pump = subject
    ended: list[int] = []

    def go_on(left: int, error: StorageError | None) -> None:
        assert error is None
        if left:
            before = list(ended)
            store.put(b"k%d" % left, b"v", go_on, left - 1)
            assert ended == before
        ended.append(left)

    store.put(b"start", b"v", go_on, 20)
    pump.run_until(lambda: len(ended) == 21)
    assert ended == list(range(20, -1, -1))
    assert len(store.scan(FIRST, LAST, 100)) == 21


def test_a_scan_is_ordered_bounded_and_half_open(subject: Subject) -> None:
    store, pump = subject
    answers = Answers()
    for key in (b"d", b"a", b"c", b"b", b"c\0"):
        store.put(key, key * 2, answers.done, None)
    for _ in range(2):  # first as pending writes, then as settled ones
        assert [k for k, _ in store.scan(b"a", b"d", 10)] == [b"a", b"b", b"c", b"c\0"]
        assert store.scan(b"b", b"d", 2) == [(b"b", b"bb"), (b"c", b"cc")]
        assert store.scan(b"c", b"c", 10) == []
        assert store.scan(b"d", b"a", 10) == []
        assert store.scan(b"a", b"d", 0) == []
        pump.run_until(lambda: len(answers.args) == 5)


def test_a_scan_reaches_past_keys_that_are_deleted_but_not_durably(subject: Subject) -> None:
    store, pump = subject
    answers = Answers()
    for number in range(10):
        store.put(b"%d" % number, b"v", answers.done, None)
    pump.run_until(lambda: len(answers.args) == 10)
    for number in range(6):
        store.delete(b"%d" % number, answers.done, None)
    store.put(b"35", b"new", answers.done, None)
    assert [k for k, _ in store.scan(FIRST, LAST, 3)] == [b"35", b"6", b"7"]


def test_keys_and_values_are_any_bytes(subject: Subject) -> None:
    store, pump = subject
    answers = Answers()
    pairs = [(b"\0", b""), (b"\0\0", b"\0"), (b"\xfe\xff", bytes(range(256))), (b"k", b"x" * 3000)]
    for key, value in pairs:
        store.put(key, value, answers.done, None)
    for _ in range(2):
        assert [(key, store.get(key)) for key, _ in pairs] == pairs
        assert store.scan(FIRST, LAST, 10) == sorted(pairs)
        pump.run_until(lambda: len(answers.args) == len(pairs))


KEYS = st.integers(0, 12).map(lambda number: b"%02d" % number)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=12)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("scan"), KEYS, KEYS, st.integers(0, 8)),
        st.tuples(st.just("turn")),
        st.tuples(st.just("settle")),
    ),
    max_size=60,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(operations=OPERATIONS)
def test_it_is_a_dict(subject: Subject, operations: list[tuple[Any, ...]]) -> None:
    store, pump = subject
    model: dict[bytes, bytes] = {}
    answers = Answers()
    writes = 0

    def settle(writes: int) -> None:
        pump.run_until(lambda: len(answers.args) == writes)

    for key, _ in store.scan(FIRST, LAST, 1000):
        store.delete(key, answers.done, writes)
        writes += 1
    for name, *args in operations:
        if name == "put":
            key, value = args
            model[key] = value
            store.put(key, value, answers.done, writes)
            writes += 1
        elif name == "delete":
            model.pop(args[0], None)
            store.delete(args[0], answers.done, writes)
            writes += 1
        elif name == "get":
            assert store.get(args[0]) == model.get(args[0])
            assert store.find(args[0], unheard, None) == model.get(args[0])
        elif name == "scan":
            start, end, limit = args
            wanted = sorted(pair for pair in model.items() if start <= pair[0] < end)
            assert store.scan(start, end, limit) == wanted[:limit]
        elif name == "turn":
            pump.turn()
        else:
            settle(writes)
    assert store.scan(FIRST, LAST, 1000) == sorted(model.items())
    settle(writes)
    assert store.scan(FIRST, LAST, 1000) == sorted(model.items())
    assert answers.args == list(range(writes))
    assert not any(answers.errors)


@pytest.fixture(params=["memory", "thread", "inline", "os"])
def flush(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[FlushTarget, Pump]]:
    pump = Pump()
    if request.param == "memory":
        yield MemoryStore(pump), pump
        return
    store = rocks(tmp_path / "rocks", pump, SYNCERS[request.param](pump))
    yield store, pump
    store.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), KEYS, st.binary(max_size=12)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("scan"), KEYS, KEYS, st.integers(0, 8)),
        st.tuples(st.just("sync")),
        st.tuples(st.just("turn")),
    ),
    max_size=60,
)


@given(steps=STEPS)
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_flush_target_is_a_dict(
    flush: tuple[FlushTarget, Pump], steps: list[tuple[Any, ...]]
) -> None:
    store, pump = flush
    for key, _ in store.scan(FIRST, LAST, 100):
        store.write(key, None)
    model: dict[bytes, bytes] = {}
    answers, asked = Answers(), 0
    for step, *args in steps:
        match step:
            case "write":
                model[args[0]] = args[1]
                store.write(*args)
            case "delete":
                model.pop(args[0], None)
                store.write(args[0], None)
            case "scan":
                start, end, limit = args
                wanted = sorted(pair for pair in model.items() if start <= pair[0] < end)
                assert store.scan(start, end, limit) == wanted[:limit]
            case "sync":
                store.sync(answers.done, asked)
                asked += 1
            case "turn":
                pump.turn()
        for key in args[:1]:
            assert store.get(key) == store.find(key, unheard, None) == model.get(key)
    pump.run_until(lambda: len(answers.args) == asked)
    assert answers.args == list(range(asked))
    assert not any(answers.errors)
    assert store.scan(FIRST, LAST, 100) == sorted(model.items())

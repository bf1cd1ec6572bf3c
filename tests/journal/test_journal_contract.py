"""The contract of `storage/store.py`, held against the whole stack: journal, log, seal, store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.journals import CLUSTER, HINTS, MARKS, RECORDS, TINY, Pairs, contents, value_for
from kit.runtime import DEADLINE_S, Answers, Pump
from kit.vaults import not_damaged, rows, vault_of

from kvorum.journal.entries import SealedEntries
from kvorum.journal.journaled_store import JournaledStore
from kvorum.model.errors import StorageError
from kvorum.runtime.loop import LoopRuntime
from kvorum.runtime.ports import Runtime
from kvorum.sealing.sealed_store import SealedStore
from kvorum.storage.engine import EngineSettings, open_engine
from kvorum.storage.log_files import LogFiles
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import InlineSyncer, NoSyncer, Syncer, ThreadSyncer

KEYS = RECORDS[:8] + HINTS[:3] + MARKS


def unheard(_arg: object) -> None:
    raise AssertionError("it was in memory")


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


class Stack:
    """What a data directory holds: the engine's files, the journal's, and what stands on both."""

    def __init__(
        self, path: Path, runtime: Runtime, new_syncer: Callable[[], Syncer], vault_directory: Path
    ) -> None:
        path.mkdir(exist_ok=True)
        engine = open_engine(path / "rocks", EngineSettings())
        self.rocks = RocksStore(engine, runtime, new_syncer(), never)
        self.log = LogFiles.open(path / "journal", runtime, new_syncer(), never)
        seal = vault_of(vault_directory, self.rocks).seal
        below = SealedStore(self.rocks, seal, not_damaged, rows())
        entries = SealedEntries(seal, CLUSTER)
        self.below = below
        self.store = JournaledStore(below, self.log, entries, runtime, TINY, never)
        assert self.store.replay() is None
        assert self.log.wrong is None

    def close(self) -> None:
        self.store.close()
        self.log.close()
        self.rocks.close()


def _has(answers: Answers, count: int) -> bool:
    return len(answers.args) == count


class Subject(NamedTuple):
    stack: Stack
    pump: Pump

    @property
    def store(self) -> JournaledStore:
        return self.stack.store

    def tick(self) -> None:
        due = [timer for timer in self.pump.timers if not timer.cancelled]
        self.pump.timers.clear()
        for timer in due:
            if not timer.cancelled:
                timer.go_off()

    def empty(self) -> Pairs:
        """Have all flushed; what there is below then."""
        emptied = Answers()
        self.store.empty(emptied.done, None)
        beside = Answers()
        for asked in range(1, 1000):
            self.tick()
            self.store.delete(b"mnobody", beside.done, None)
            self.pump.run_until(partial(_has, beside, asked))
            if emptied.args:
                break
        assert emptied.errors == [None]
        return contents(self.stack.below)


@pytest.fixture(params=["thread", "inline", "os"])
def subject(
    request: pytest.FixtureRequest, tmp_path: Path, vault_directory: Path
) -> Iterator[Subject]:
    pump = Pump()
    syncers: dict[str, Callable[[], Syncer]] = {
        "thread": lambda: ThreadSyncer(pump, pump.call_threadsafe),
        "inline": lambda: InlineSyncer(pump.call_soon),
        "os": lambda: NoSyncer(pump.call_soon),
    }
    stack = Stack(tmp_path, pump, syncers[request.param], vault_directory)
    yield Subject(stack, pump)
    stack.close()


@pytest.mark.parametrize("key", [RECORDS[0], HINTS[0], MARKS[0]])
def test_a_write_is_seen_before_it_is_durable(subject: Subject, key: bytes) -> None:
    store, pump = subject.store, subject.pump
    answers = Answers()
    for number in (1, 2):
        value = value_for(key, number)
        store.put(key, value, answers.done, number)
        assert store.get(key) == value
        assert contents(store) == [(key, value)]
    store.delete(key, answers.done, 3)
    assert store.get(key) is None
    assert contents(store) == []
    assert answers.args == []
    pump.run_until(lambda: len(answers.args) == 3)
    assert store.get(key) is None


def test_each_done_is_called_once_in_the_order_of_the_writes(subject: Subject) -> None:
    store, pump = subject.store, subject.pump
    answers = Answers()
    for number in range(300):
        key = KEYS[number % len(KEYS)]
        if number % 7 == 3:
            store.delete(key, answers.done, number)
        else:
            store.put(key, value_for(key, number), answers.done, number)
        if number % 11 == 0:
            pump.turn()
        if number % 29 == 0:
            subject.tick()
    pump.run_until(lambda: len(answers.args) >= 300)
    pump.drain()
    assert answers.args == list(range(300))
    assert answers.errors == [None] * 300


def test_a_write_made_in_a_done_callback_is_one_like_any_other(subject: Subject) -> None:
    store, pump = subject.store, subject.pump
    ended: list[int] = []

    def go_on(left: int, error: StorageError | None) -> None:
        assert error is None
        if left:
            before = list(ended)
            key = RECORDS[left]
            store.put(key, value_for(key, left), go_on, left - 1)
            assert ended == before
        ended.append(left)

    store.put(RECORDS[0], value_for(RECORDS[0], 0), go_on, 20)
    pump.run_until(lambda: len(ended) == 21)
    assert ended == list(range(20, -1, -1))
    assert len(contents(store)) == 21


def test_a_scan_reaches_past_keys_that_are_deleted_but_not_flushed(subject: Subject) -> None:
    store = subject.store
    answers = Answers()
    for key in RECORDS:
        store.put(key, value_for(key, 1), answers.done, None)
    assert [key for key, _ in subject.empty()] == sorted(RECORDS)
    for key in sorted(RECORDS)[:15]:
        store.delete(key, answers.done, None)
    left = sorted(RECORDS)[15:]
    assert [key for key, _ in store.scan(b"d", b"e", 3)] == left[:3]
    assert [key for key, _ in store.scan(b"d", b"e", 100)] == left


def test_what_is_in_memory_is_warm(subject: Subject) -> None:
    key = RECORDS[0]
    subject.store.put(key, value_for(key, 1), Answers().done, None)
    assert subject.store.find(key, never, None) == value_for(key, 1)


keys = st.sampled_from(KEYS)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), keys, st.integers(0, 60)),
        st.tuples(st.just("delete"), keys),
        st.tuples(st.just("get"), keys),
        st.tuples(st.just("scan"), keys, keys, st.integers(0, 8)),
        st.tuples(st.just("turn")),
        st.tuples(st.just("tick")),
        st.tuples(st.just("settle")),
    ),
    max_size=60,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(operations=OPERATIONS)
def test_it_is_a_dict(subject: Subject, operations: list[tuple[Any, ...]]) -> None:
    store, pump = subject.store, subject.pump
    answers = Answers()
    model = dict(contents(store))  # what the example before this one has left
    writes = 0

    def settle(writes: int) -> None:
        pump.run_until(lambda: len(answers.args) == writes)

    for name, *args in operations:
        if name == "put":
            key, number = args
            model[key] = value_for(key, number, number)
            store.put(key, model[key], answers.done, writes)
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
            if start[:1] == end[:1]:
                wanted = sorted(pair for pair in model.items() if start <= pair[0] < end)
                assert store.scan(start, end, limit) == wanted[:limit]
        elif name == "turn":
            pump.turn()
        elif name == "tick":
            subject.tick()
        else:
            settle(writes)
    assert contents(store) == sorted(model.items())
    settle(writes)
    assert contents(store) == sorted(model.items())
    assert answers.args == list(range(writes))
    assert not any(answers.errors)


def test_what_it_holds_is_taken_up_by_the_next_life(tmp_path: Path, vault_directory: Path) -> None:
    """Closed at any point of flush; then all of it is flushed."""
    model: dict[bytes, bytes] = {}
    for lived in range(7):
        pump, answers = Pump(), Answers()
        stack = Stack(tmp_path, pump, partial(InlineSyncer, pump.call_soon), vault_directory)
        assert dict(contents(stack.store)) == model
        for number in range(13 * lived % 78):
            key = KEYS[(number * 5 + lived) % len(KEYS)]
            model[key] = value_for(key, number + lived, 90)
            stack.store.put(key, model[key], answers.done, None)
            pump.drain()
        if lived == 5:
            assert dict(Subject(stack, pump).empty()) == model
        stack.close()
        assert not any(answers.errors)


def test_a_write_after_close_is_refused(tmp_path: Path, vault_directory: Path) -> None:
    pump, answers = Pump(), Answers()
    stack = Stack(tmp_path, pump, lambda: InlineSyncer(pump.call_soon), vault_directory)
    key = RECORDS[0]
    stack.store.put(key, value_for(key, 1), answers.done, 1)
    stack.close()
    assert (answers.args, answers.errors) == ([1], [None])
    stack.store.put(key, value_for(key, 2), answers.done, 2)
    stack.store.put(MARKS[0], b"", answers.done, 3)
    pump.drain()
    assert answers.args == [1, 2, 3]
    assert all(isinstance(error, StorageError) for error in answers.errors[1:])


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("kind", ["thread", "inline"])
def test_on_a_real_event_loop(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    kind: str,
    tmp_path: Path,
    vault_directory: Path,
) -> None:
    """Writers that each wait for their own last write, as clients do."""
    writers, rounds = 16, 25

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        runtime = LoopRuntime(loop)
        syncers: dict[str, Callable[[], Syncer]] = {
            "thread": lambda: ThreadSyncer(runtime, loop.call_soon_threadsafe),
            "inline": lambda: InlineSyncer(runtime.call_soon),
        }
        with closing(Stack(tmp_path, runtime, syncers[kind], vault_directory)) as stack:
            ended = []
            all_ended = asyncio.Event()

            def go_on(arg: tuple[int, int], error: StorageError | None) -> None:
                writer, number = arg
                assert error is None
                ended.append(arg)
                if number < rounds - 1:
                    put(writer, number + 1)
                elif len(ended) == writers * rounds:
                    all_ended.set()

            def put(writer: int, number: int) -> None:
                key = RECORDS[writer]
                stack.store.put(key, value_for(key, number), go_on, (writer, number))

            for writer in range(writers):
                put(writer, 0)
            async with asyncio.timeout(DEADLINE_S):
                await all_ended.wait()
                emptied = asyncio.Event()
                stack.store.empty(lambda _arg, _error: emptied.set(), None)
                await emptied.wait()
            last = sorted((key, value_for(key, rounds - 1)) for key in RECORDS[:writers])
            assert contents(stack.store) == contents(stack.below) == last
            return ended

    with asyncio.Runner(loop_factory=new_loop) as runner:
        ended = runner.run(main())
    assert len(set(ended)) == len(ended) == writers * rounds

"""Calls that take the fast path tell and store what the coordinator does.

`get`, `get_entry` and `set` take it; the same for a list of keys goes through the coordinator. So
one store is asked one call at a time, another one lists of one, and both go through the same story.
"""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kvorum
from kvorum.embedded.engine import Engine
from kvorum.model.errors import (
    InvalidKey,
    KvorumError,
    NamespaceNotFound,
    QuorumError,
    StorageError,
)

KEYS: Final = 3
VALUES: Final = (None, 0, "text", {"a": [1, 2.5]}, b"\x00\xff", "other", b"")
WRONG: Final = ("", "x" * 1025, "\ud800")

ACTIONS: Final = ("set", "lasting", "ttl", "fork", "delete", "touch", "wait", "damage")

steps = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, KEYS - 1), st.sampled_from(VALUES)),
    max_size=12,
)


class Stage:
    """Two stores, and the clock of both."""

    def __init__(self, directory: Path) -> None:
        self.began_ns = time.time_ns()
        self.ahead_ns = 0
        self.single = kvorum.open(directory / "single")
        self.listed = kvorum.open(directory / "listed")
        for store in (self.single, self.listed):
            store.create_namespace("short", ttl=5)
            store.create_namespace("cache", durability="none", max_memory=1 << 20)
        self.stories = count()

    def time_ns(self) -> int:
        """It stands still between two steps, which a busy machine may draw apart."""
        return self.began_ns + self.ahead_ns


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patch:
        made = Stage(tmp_path_factory.mktemp("fast"))
        clock = SimpleNamespace(time_ns=made.time_ns, monotonic=time.monotonic)
        patch.setattr("kvorum.runtime.inline.time", clock)
        with made.single, made.listed:
            yield made


def told(result: object) -> object:
    """What can be compared of stores that are different nodes: all but clocks and versions."""
    if isinstance(result, KvorumError):
        return type(result), result.message.replace("single", "listed"), result.outcome
    assert isinstance(result, kvorum.Entry)
    siblings = sorted(repr((s.value, s.binary, s.hash)) for s in result.siblings)
    counters = [event.counter for event in result.clock]
    return result.value, result.binary, result.hash, result.created, siblings, counters


def tried(call: Any, *args: Any, **options: Any) -> object:
    try:
        return call(*args, **options)
    except KvorumError as error:
        return error


def damage(store: kvorum.Embedded, namespace: str, key: str) -> None:
    """Have the record of `key`, if it is on the disk, not open any more."""
    engine: Engine = store._engine
    local = engine.store
    journal, seal = local._journaled, local.vault.seal
    engine._turn_until(lambda done: journal.empty(_emptied, done))
    storage_key = engine._fast_path._view.place(namespace, key).key
    stored_key = seal.stored_key(storage_key)
    if local.rocks.get(stored_key) is not None:
        local.rocks.write(stored_key, b"damaged")
        local._rows.drop(storage_key)


def _emptied(done: Callable[[KvorumError | None], object], error: StorageError | None) -> None:
    done(error)


def take(stage: Stage, namespace: str, key: str, action: str, value: Any) -> None:
    """The same step in both stores, which has to have the same result."""
    single, listed = stage.single, stage.listed
    if action in ("set", "lasting", "ttl"):
        ttl = {"set": None, "lasting": 0, "ttl": 30}[action]
        one = tried(single.set, key, value, ttl=ttl, namespace=namespace)
        (other,) = listed.set_many([(key, value)], ttl=ttl, namespace=namespace)
        assert told(one) == told(other)
    elif action == "fork":
        for store in (single, listed):
            base = tried(store.set, key, "base", namespace=namespace)
            if isinstance(base, kvorum.Entry):
                store.set(key, value, version=base.version, namespace=namespace)
                store.set(key, [value == b""], version=base.version, namespace=namespace)
    elif action == "delete":
        results = [tried(store.delete, key, namespace=namespace) for store in (single, listed)]
        assert told(results[0]) == told(results[1])
    elif action == "touch":
        for store in (single, listed):
            tried(store.touch, key, 60, namespace=namespace)
    elif action == "wait":
        stage.ahead_ns += 20_000_000_000
    elif namespace != "cache":
        for store in (single, listed):
            damage(store, namespace, key)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(("default", "short", "cache")), steps)
def test_a_story_goes_the_same_way_on_both_paths(
    stage: Stage, namespace: str, story: list[tuple[str, int, Any]]
) -> None:
    name = next(stage.stories)
    for action, number, value in story:
        key = f"{name}/{number}"
        take(stage, namespace, key, action, value)
        for store in (stage.single, stage.listed):
            (by_list,) = store.get_entries([key], namespace=namespace)
            alone = tried(store.get_entry, key, namespace=namespace)
            got = tried(store.get, key, "none", namespace=namespace)
            if isinstance(by_list, kvorum.Entry):
                assert alone == by_list
                assert got == by_list.value
                assert type(got) is type(by_list.value)
            else:
                assert told(alone) == told(by_list)
                assert got == "none" or told(got) == told(by_list)


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_key_is_refused_alike(stage: Stage, key: str) -> None:
    before = stage.single.set("counted", 1)
    for call in (stage.single.get, stage.single.get_entry):
        with pytest.raises(InvalidKey):
            call(key)
    with pytest.raises(InvalidKey):
        stage.single.set(key, 1)
    after = stage.single.set("counted", 2)
    assert after.clock[-1].counter == before.clock[-1].counter + 1


def test_an_unknown_namespace_is_refused_alike(stage: Stage) -> None:
    for call in (stage.single.get, stage.single.get_entry):
        with pytest.raises(NamespaceNotFound):
            call("k", namespace="nowhere")
    with pytest.raises(NamespaceNotFound):
        stage.single.set("k", 1, namespace="nowhere")


def test_damage_is_told_and_a_write_replaces_it(stage: Stage) -> None:
    store = stage.single
    store.set("hurt", 1)
    damage(store, "default", "hurt")
    for call in (store.get, store.get_entry):
        with pytest.raises(QuorumError) as refused:
            call("hurt")
        assert told(refused.value) == told(store.get_entries(["hurt"])[0])
    store.set("hurt", 2)
    assert store.get("hurt") == 2


def test_what_an_entry_works_out_later_is_what_it_would_have_said_at_once(tmp_path: Path) -> None:
    with kvorum.open(tmp_path) as store:
        entry = store.set("k", {"n": 1})
        expected = store.get_entries(["k"])[0]
        store.set("k", {"n": 2})
    assert isinstance(expected, kvorum.Entry)
    assert not hasattr(entry, "nothing_of_this_name")
    copies = (entry, pickle.loads(pickle.dumps(entry)), copy.deepcopy(entry))
    for same in copies:
        assert (same.key, same.value, same.created) == ("k", {"n": 1}, True)
        assert same.version == expected.version
        assert (same.clock, same.hash, same.json) == (expected.clock, expected.hash, expected.json)
        assert same == entry
        assert hash(same) == hash(entry)
        assert repr(same) == repr(entry)
    with pytest.raises(AttributeError):
        entry.created = False  # type: ignore[misc]


_WRITER: Final = """
import sys
import kvorum

store = kvorum.open(sys.argv[1])
number = 0
while True:
    number += 1
    store.set(f"key{number % 50}", number)
    print(number, flush=True)
"""


def test_what_was_acknowledged_one_by_one_survives_a_kill(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    acknowledged = 0
    for line in writer.stdout:
        acknowledged = int(line)
        if acknowledged == 300:
            writer.kill()
    writer.wait()
    writer.stdout.close()
    with kvorum.open(tmp_path) as store:
        for number in range(acknowledged - 49, acknowledged + 1):
            # One more may have been stored that nobody was told of.
            assert store.get(f"key{number % 50}") in (number, number + 50)

"""Eviction policies: a map that gives up what is used least, in three senses of "least"."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.topology import Eviction
from kvorum.storage.eviction import Rows, Sketch, TinyLfu, rows_for

POLICIES = get_args(Eviction)
KEYS = st.sampled_from([b"%d" % number for number in range(12)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), KEYS, st.binary(max_size=3)),
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("pop"), KEYS),
        st.tuples(st.just("popitem")),
        st.tuples(st.just("clear")),
    ),
    max_size=80,
)


def filled(eviction: Eviction, keys: list[bytes]) -> Rows:
    rows = rows_for(eviction)
    for key in keys:
        rows.insert(key, b"v")
    return rows


@pytest.mark.parametrize("eviction", POLICIES)
@given(steps=STEPS)
def test_it_is_a_dict_that_gives_up_what_it_has(
    eviction: Eviction, steps: list[tuple[str, ...]]
) -> None:
    rows = rows_for(eviction)
    model: dict[object, object] = {}
    for name, *args in steps:
        if name == "insert":
            assert rows.insert(*args) == model.get(args[0])  # type: ignore[arg-type]
            model[args[0]] = args[1]
        elif name == "get":
            assert rows.get(*args) == model.get(args[0])  # type: ignore[arg-type]
        elif name == "pop":
            assert rows.pop(args[0], None) == model.pop(args[0], None)  # type: ignore[arg-type]
        elif name == "clear":
            rows.clear()
            model.clear()
        elif model:
            key, value = rows.popitem()
            assert model.pop(key) == value
        else:
            with pytest.raises(KeyError):
                rows.popitem()
        assert len(rows) == len(model)


def test_lru_gives_up_what_was_unused_longest() -> None:
    rows = filled("lru", [b"a", b"b", b"c"])
    rows.get(b"a")
    rows.insert(b"b", b"new")
    assert [rows.popitem()[0] for _ in range(3)] == [b"c", b"a", b"b"]


def test_lfu_gives_up_what_was_used_least_often() -> None:
    rows = filled("lfu", [b"a", b"b", b"c"])
    for key in (b"a", b"a", b"a", b"c", b"c", b"b"):
        rows.get(key)
    assert [rows.popitem()[0] for _ in range(3)] == [b"b", b"c", b"a"]


def favourites_kept(eviction: Eviction) -> int:
    """How many of 100 a cache of 200 has, where each is used once while 400 others pass by."""
    favourites = [b"f%d" % number for number in range(100)]
    rows = filled(eviction, favourites)
    for key in favourites * 5:
        rows.get(key)
    for number in range(4000):
        for key in (b"s%d" % number, *favourites[number // 4 % 100 :][: number % 4 == 0]):
            if rows.get(key) is None:
                if len(rows) >= 200:
                    rows.popitem()
                rows.insert(key, b"v")
    return sum(rows.pop(key, None) is not None for key in favourites)


def test_a_scan_empties_an_lru_and_nothing_else() -> None:
    assert favourites_kept("lru") <= 50
    assert favourites_kept("lfu") == 100
    # Hashes of bytes differ from run to run, and counters are shared now and then.
    assert favourites_kept("tinylfu") >= 90


def test_tinylfu_takes_to_new_favourites() -> None:
    rows = TinyLfu()
    for favourites in ([b"old%d" % n for n in range(50)], [b"new%d" % n for n in range(50)]):
        for _ in range(20):
            for key in favourites:
                if rows.get(key) is None:
                    rows.insert(key, b"v")
                if len(rows) > 60:
                    rows.popitem()
    assert sum(rows.get(b"new%d" % n) is not None for n in range(50)) >= 40


def test_a_sketch_is_never_too_low() -> None:
    sketch = Sketch()
    for number in range(100):
        for _ in range(number % 10):
            sketch.note(b"%d" % number)
    assert all(sketch.count(b"%d" % number) >= number % 10 for number in range(100))


@pytest.mark.parametrize("entries", [1, 100_000])
def test_aging_halves_what_is_known(entries: int) -> None:
    sketch = Sketch()
    for _ in range(40):
        sketch.note(b"popular")
    sketch.note(b"rare")
    assert sketch.count(b"popular") == 15
    sketch.age(entries)
    assert sketch.count(b"popular") == 7
    assert sketch.count(b"rare") == 0

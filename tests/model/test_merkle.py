"""The trees against a dumb rebuild, on random histories of records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.keys import partition_range
from kvorum.model.merkle import HASH_BYTES, Forest

BITS = 8

tokens = st.integers(0, 2**64 - 1)
# Few tokens, so that leaves are shared and records replaced.
keys = st.builds(
    lambda token, name: b"d" + token.to_bytes(8) + b"default\0" + name,
    st.one_of(st.sampled_from([0, 1, 2**46, 2**63, 2**64 - 1]), tokens),
    st.sampled_from([b"a", b"b"]),
)
records = st.one_of(st.just(b""), st.binary(min_size=8, max_size=12))
histories = st.lists(st.tuples(keys, records), max_size=30)


def forest_of(content: dict[bytes, bytes]) -> Forest:
    forest = Forest(BITS)
    for key, data in content.items():
        forest.replace(key, b"", data)
    return forest


def roots(forest: Forest) -> bytes:
    return forest.hashes(0, range(forest.width(0)))


@given(histories)
def test_replacing_equals_a_rebuild(history: list[tuple[bytes, bytes]]) -> None:
    forest, content = Forest(BITS), dict[bytes, bytes]()
    for key, data in history:
        forest.replace(key, content.pop(key, b""), data)
        if data:
            content[key] = data
    rebuilt = forest_of(content)
    assert roots(forest) == roots(rebuilt)
    last = forest.last_level
    leaves = {int.from_bytes(key[1:9]) >> 46 for key, _ in history}
    assert forest.hashes(last, leaves) == rebuilt.hashes(last, leaves)


@given(st.dictionaries(keys, st.binary(min_size=8, max_size=8), max_size=10), keys)
def test_a_differing_record_shows_on_each_level_and_nowhere_else(
    content: dict[bytes, bytes], key: bytes
) -> None:
    one, other = forest_of(content), forest_of(content)
    other.replace(key, b"", b"differs!")
    differing = range(one.width(0))
    for level in range(one.last_level + 1):
        found = [i for i in differing if one.hashes(level, [i]) != other.hashes(level, [i])]
        assert len(found) == 1
        if level < one.last_level:
            differing = one.children(level, found[0])
    first, end = one.key_range(found[0], found[0])
    assert first <= key < end


def test_changes_of_two_leaves_do_not_cancel() -> None:
    forest, empty = Forest(BITS), Forest(BITS)
    for token in (0, 1 << 46):  # neighbouring leaves, the same digest
        forest.replace(b"d" + token.to_bytes(8) + b"n\0k", b"", b"the same")
    assert forest.hashes(0, [0]) != empty.hashes(0, [0])


@pytest.mark.parametrize("bits", [0, 4, 8, 15, 20])
def test_levels_go_from_partitions_to_leaves(bits: int) -> None:
    forest = Forest(bits)
    assert forest.width(0) == 1 << bits
    for level in range(forest.last_level):
        for index in (0, forest.width(level) - 1):
            children = forest.children(level, index)
            assert 2 <= len(children) <= 32
            assert {forest.partition_of(level + 1, child) for child in children} == {
                forest.partition_of(level, index)
            }
    assert children[-1] == forest.width(forest.last_level) - 1
    assert forest.key_range(0, children[-1]) == (b"d" + bytes(8), b"e")
    assert len(forest.hashes(0, [0])) == HASH_BYTES


@given(st.dictionaries(keys, st.binary(min_size=8, max_size=8), max_size=10), keys)
def test_a_damaged_leaf_is_corrected_from_the_records_of_its_range(
    content: dict[bytes, bytes], damaged: bytes
) -> None:
    forest = forest_of(content)
    forest.replace(damaged, b"", b"damaged!")
    start, end = partition_range(damaged[1], BITS)
    there = [(key, data) for key, data in content.items() if start <= key < end]
    assert forest.correct(start, end, there) == 1
    assert roots(forest) == roots(forest_of(content))
    assert forest.correct(start, end, there) == 0


def test_a_leaf_that_is_only_partly_in_the_range_is_left_alone() -> None:
    forest = forest_of({b"d" + bytes(8) + b"n\0k": b"a record"})
    before = roots(forest)
    assert forest.correct(b"d" + bytes(8), b"d" + bytes(8) + b"n\0k", []) == 0
    assert forest.correct(b"d" + bytes(8) + b"n\0a", b"e", []) == 0
    assert roots(forest) == before

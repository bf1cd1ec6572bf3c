"""A memtable is a map of keys to values and deletions, read in the order of keys."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvorum.journal.memtable import ROW_OVERHEAD_BYTES, Memtable
from kvorum.model.keys import storage_key
from kvorum.sealing.seal import namespace_of

Step = tuple[str, bytes, bytes | None] | tuple[str, bytes, bytes, int]

# Few of each, so that keys meet: in a bucket, across buckets, one the beginning of another.
tokens = st.sampled_from(
    [bytes(16), b"\0" * 7 + b"\1" + bytes(8), b"\1" + bytes(15), b"d" * 16, b"\xff" * 16]
) | st.binary(min_size=16, max_size=16)
namespaces = st.sampled_from(["a", "a.b", "default", "z"])
names = st.sampled_from(["a", "a\0", "ab", "d", "\x7f", "ключ"]) | st.text(min_size=1, max_size=3)
records = st.builds(
    lambda token, namespace, name: storage_key(token, namespace, name.encode()),
    tokens,
    namespaces,
    names,
)
# All but what ends them. Names that begin one another, and names that look like a key's parts.
nodes = st.sampled_from(["n1", "n10", "n", "d", "h", "n1d", "\x01", "ÿ", "узел"]) | st.text(
    st.characters(min_codepoint=1, exclude_categories=["Cs"]), min_size=1, max_size=4
)
notes = st.builds(lambda node, key: b"h" + node.encode() + b"\0" + key, nodes, records)
marks = st.sampled_from([b"m", b"mn1", b"mn10", b"r", b"rd"]) | st.builds(
    bytes.__add__, st.sampled_from([b"m", b"r"]), st.binary(max_size=4)
)
keys = records | notes | marks
values = st.none() | st.binary(max_size=20)
bounds = (
    st.builds(bytes.__add__, keys, st.sampled_from([b"", b"\0", b"\xff"]))
    | st.builds(lambda key, size: key[:size], keys, st.integers(0, 12))
    | st.sampled_from(
        [b"", b"d", b"e", b"h", b"i", b"m", b"n", b"rd", b"\xff", b"d\xff", b"hn1\0", b"hn1\1"]
    )
)
steps = st.lists(
    st.tuples(st.just("put"), keys, values)
    | st.tuples(st.just("page"), bounds, bounds, st.integers(0, 6)),
    max_size=60,
)


def fresh(changes: dict[bytes, bytes | None]) -> Memtable:
    table = Memtable()
    for key, value in changes.items():
        table.put(key, value)
    return table


def check_page(
    table: Memtable, model: dict[bytes, bytes | None], start: bytes, end: bytes, limit: int
) -> None:
    wanted = sorted((key, value) for key, value in model.items() if start <= key < end)
    assert table.page(start, end, limit) == wanted[:limit]


@given(steps=steps)
@settings(max_examples=200)
def test_it_is_a_dict_read_in_order(steps: list[Step]) -> None:
    table = Memtable()
    model: dict[bytes, bytes | None] = {}
    for step in steps:
        match step:
            case ("put", key, value):
                table.put(key, value)
                model[key] = value
            case ("page", start, end, int(limit)):
                assert end is not None
                check_page(table, model, start, end, limit)
    assert table.changes == model
    check_page(table, model, b"", b"\xff" * 30, len(model) + 1)


@given(st.dictionaries(keys, values, max_size=40), bounds, bounds, st.integers(1, 5))
def test_pages_that_follow_one_another_are_all_there_is(
    changes: dict[bytes, bytes | None], start: bytes, end: bytes, limit: int
) -> None:
    table = fresh(changes)
    found = []
    cursor = start
    while page := table.page(cursor, end, limit):
        found += page
        cursor = page[-1][0] + b"\0"
    assert found == sorted((key, value) for key, value in changes.items() if start <= key < end)


@given(st.lists(st.tuples(keys, values), max_size=40))
def test_its_size_is_that_of_what_it_holds(writes: list[tuple[bytes, bytes | None]]) -> None:
    """Whatever was there before: what is replaced or deleted has no size."""
    table = Memtable()
    model: dict[bytes, bytes | None] = {}
    assert table.size_bytes == 0
    for key, value in writes:
        table.put(key, value)
        model[key] = value
        held = sum(
            len(key) + len(value or b"") + ROW_OVERHEAD_BYTES for key, value in model.items()
        )
        assert table.size_bytes == held == fresh(model).size_bytes


@given(st.dictionaries(keys, values, max_size=40), namespaces, bounds, bounds, st.booleans())
def test_without_a_namespace_all_others_are_left(
    changes: dict[bytes, bytes | None], namespace: str, start: bytes, end: bytes, indexed: bool
) -> None:
    table = fresh(changes)
    if indexed:
        table.page(b"", b"\xff", 1)
    name = namespace.encode()
    rest = {key: value for key, value in changes.items() if namespace_of(key) != name}
    left = table.without(name)
    assert left.changes == rest
    assert left.size_bytes == fresh(rest).size_bytes
    check_page(left, rest, start, end, 5)
    left.put(b"d" + bytes(8) + name + b"\0k", b"new")
    assert table.changes == changes

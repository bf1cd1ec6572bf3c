"""Depth of JSON text and names given twice, against slow and plain ways to tell."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from kvorum.api.json_text import is_deeper, repeats_a_name

scalars = st.none() | st.booleans() | st.integers() | st.text('a"\\[]{}:, é', max_size=6)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"[}', max_size=3), inner),
    max_leaves=15,
)
members = st.lists(st.tuples(st.sampled_from(["a", "b", 'c"', "\\", "é"]), values), max_size=4)
spaces = st.text(" \n\t\r", max_size=2)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(value=values, depth=st.integers(0, 6), ascii_only=st.booleans())
@example(value="[[[[[[[[", depth=2, ascii_only=True)
@example(value=[[], [], [], [[]]], depth=2, ascii_only=True)
def test_depth(value: Any, depth: int, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert is_deeper(text, depth) == (depth_of(value) > depth)


@given(pairs=members, pad=spaces, escaped=st.booleans())
@example(pairs=[("a", 1), ("a", 1)], pad="", escaped=False)
@example(pairs=[("a", 1), ("a", 12)], pad="", escaped=False)
@example(pairs=[("a", 12), ("a", 1)], pad="", escaped=False)
@example(pairs=[("a", 1), ("a", 1), ("b", 1)], pad=" ", escaped=True)
def test_names_given_twice(pairs: list[tuple[str, Any]], pad: str, escaped: bool) -> None:
    shown = [
        f"{pad}{_name(name, escaped and i % 2 == 1)}{pad}:{pad}{json.dumps(value)}{pad}"
        for i, (name, value) in enumerate(pairs)
    ]
    text = f"{pad}{{{','.join(shown) or pad}}}{pad}".encode()
    found = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    names = [name for name, _ in pairs]
    repeated = repeats_a_name(text, [bytes(value) for value in found.values()])
    assert repeated == (len(set(names)) < len(names))


def _name(name: str, escaped: bool) -> str:
    """The name as JSON; escaped character by character, it is still the same name."""
    if escaped:
        return '"' + "".join(f"\\u{ord(c):04x}" for c in name) + '"'
    return json.dumps(name)


@given(
    pieces=st.lists(
        st.sampled_from(["[", "]", "{", "}", "a", ",", "\\\\", '\\"', "\\n", "\\u005b", "é"]),
        max_size=12,
    ).map("".join),
    depth=st.integers(0, 3),
)
def test_brackets_in_strings_are_no_depth(pieces: str, depth: int) -> None:
    text = f'["{pieces}",{{"{pieces}":[]}},"{pieces}"]'.encode()
    assert is_deeper(text, depth) == (depth < 3)

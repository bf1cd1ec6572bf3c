"""Depth of JSON text, against a slow and plain way to tell."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from kvorum.service.nesting import is_deeper

scalars = st.none() | st.booleans() | st.integers() | st.text('a"\\[]{}:, é', max_size=6)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"[}', max_size=3), inner),
    max_leaves=15,
)


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

"""Names given twice in JSON text, however they are spelled."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from kvorum.api.json_text import repeats_a_name

scalars = st.none() | st.booleans() | st.integers() | st.text('a"\\[]{}:, é', max_size=6)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"[}', max_size=3), inner),
    max_leaves=15,
)
members = st.lists(st.tuples(st.sampled_from(["a", "b", 'c"', "\\", "é"]), values), max_size=4)
spaces = st.text(" \n\t\r", max_size=2)


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

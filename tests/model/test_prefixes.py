"""Each first byte of storage keys has one owner, and all rooms take theirs from the registry."""

from __future__ import annotations

import re
from pathlib import Path

import kvorum
from kvorum.model import prefixes
from kvorum.model.prefixes import OWNERS, end_of

SOURCE = Path(kvorum.__file__).parent
NAMED = {
    name: value
    for name, value in vars(prefixes).items()
    if isinstance(value, bytes) and not name.endswith("_END")
}


def test_no_two_kinds_of_keys_share_a_first_byte() -> None:
    assert len(set(NAMED.values())) == len(NAMED)
    assert all(len(prefix) == 1 for prefix in NAMED.values())


def test_each_prefix_has_an_owner_that_takes_it_from_here() -> None:
    assert set(OWNERS) == set(NAMED.values())
    for name, prefix in NAMED.items():
        text = (SOURCE / OWNERS[prefix]).read_text()
        assert re.search(rf"\bprefixes\b.*\b{name}\b", text, re.DOTALL), (name, OWNERS[prefix])


def test_keys_with_a_prefix_end_before_any_other_key() -> None:
    for prefix in OWNERS:
        assert prefix < prefix + b"\xff" * 2000 < end_of(prefix)
        assert not any(prefix < other < end_of(prefix) for other in OWNERS)

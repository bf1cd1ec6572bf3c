"""The budget: every byte given is given out once, and too little is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ConfigError
from kvorum.model.topology import NamespaceSettings
from kvorum.storage.budget import (
    MEMORY_DEFAULT,
    MEMORY_MAX,
    MEMORY_MIN,
    MEMTABLES_MAX,
    Budget,
    promised,
)


@given(st.integers(MEMORY_MIN, MEMORY_MAX), st.integers(0, 1 << 36))
def test_the_parts_are_the_whole(total: int, kept: int) -> None:
    if total - kept < MEMORY_MIN:
        with pytest.raises(ConfigError, match="Choose a size in that range"):
            Budget.split(total, kept)
        return
    budget = Budget.split(total, kept)
    parts = budget.row_cache_bytes + budget.journal_bytes + budget.cache_bytes
    assert parts == total - kept
    # Memtables are charged to the cache, and leave half of it to blocks.
    assert MEMTABLES_MAX * budget.memtable_bytes <= budget.cache_bytes / 2


@pytest.mark.parametrize("total", [0, MEMORY_MIN - 1, MEMORY_MAX + 1])
def test_too_little_or_too_much_is_refused(total: int) -> None:
    with pytest.raises(ConfigError, match="at least 32 MB"):
        Budget.split(total)


def test_what_is_promised_to_namespaces_comes_on_top_of_the_least() -> None:
    sessions = NamespaceSettings(
        replicas=1, read=1, write=1, durability="none", max_memory=100_000_000
    )
    kept = promised([NamespaceSettings.majority(1), sessions, sessions])
    assert kept == 200_000_000
    with pytest.raises(ConfigError, match="beside the 200 MB promised to namespaces"):
        Budget.split(MEMORY_MIN + kept - 1, kept)
    assert Budget.split(MEMORY_DEFAULT, kept).memtable_bytes == 7_000_000

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.backed_up import BackedUp, backed_up


@pytest.fixture
def node(tmp_path: Path) -> Iterator[BackedUp]:
    """A node with a hundred entries."""
    with backed_up(tmp_path / "n1") as node:
        node.store.set_many({f"key {i}": {"number": i} for i in range(100)})
        yield node

"""The journal's crash points are those of an embedded store, in tests/storage."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from kit.vaults import vault_of

from kvorum.runtime.inline import InlineRuntime
from kvorum.storage.memory import MemoryStore

sys.path.append(str(Path(__file__).parents[1] / "storage"))


@pytest.fixture(scope="session")
def vault_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys of a data directory, made once. Who changes them makes some of their own."""
    path = tmp_path_factory.mktemp("vault")
    vault_of(path, MemoryStore(InlineRuntime()))
    return path

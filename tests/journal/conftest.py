"""What a journaled store is made of has its parts for tests in the rooms below."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

for room in ("storage", "sealing"):
    sys.path.append(str(Path(__file__).parents[1] / room))


@pytest.fixture(scope="session")
def vault_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys of a data directory, made once. Who changes them makes some of their own."""
    from kit.vaults import vault_of

    from kvorum.runtime.inline import InlineRuntime
    from kvorum.storage.memory import MemoryStore

    path = tmp_path_factory.mktemp("vault")
    vault_of(path, MemoryStore(InlineRuntime()))
    return path

"""security.json: private, checked, replaced whole."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.security_catalog import SecurityCatalog, first_administrator
from kvorum.storage.security_file import SecurityFile

CATALOG = SecurityCatalog([first_administrator("0" * 12, "1" * 64)])


def test_what_was_written_is_read_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = SecurityFile(tmp_path)
    assert file.read() is None
    file.write(CATALOG)
    assert file.read() == CATALOG
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_damaged_file_is_refused_at_every_byte(tmp_path: Path) -> None:
    file = SecurityFile(tmp_path)
    file.write(CATALOG)
    data = file.path.read_bytes().rstrip()
    for index in range(0, len(data), 3):
        file.path.write_bytes(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])
        with pytest.raises(ConfigError, match=r"security\.json"):
            file.read()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"security\.json"):
        SecurityFile(tmp_path / "gone").write(CATALOG)

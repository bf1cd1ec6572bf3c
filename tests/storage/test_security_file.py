"""The file of the security catalog: what is written comes back, and what is damaged is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from kit.security import catalog_of

from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.permissions import Grant, Permission, Role
from kvorum.model.security_catalog import SecurityCatalog
from kvorum.model.security_values import Password, Revocation, User
from kvorum.storage.security_file import SecurityFile

PASSWORD = Password(n=2, r=1, p=1, salt="aa", derived="bb")


def full() -> SecurityCatalog:
    catalog = catalog_of(
        Role(name="clerk", permissions=(Permission.READ,), namespace="orders", prefix="a/é"),
        User(name="ann", grants=(Grant(role="clerk", prefix="a/é"),), password=PASSWORD),
        Revocation(serial="1a", name="n3", revoked_ms=5, until_ms=9),
    )
    return catalog.merged([catalog.removing("user", "ann", 7, 2)])[0]


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    file = SecurityFile(tmp_path)
    assert file.read() is None
    for catalog in (SecurityCatalog(), full(), catalog_of()):
        file.write(catalog)
        assert file.read() == catalog
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    file = SecurityFile(tmp_path)
    file.write(full())
    data = file.path.read_bytes()
    for at in range(0, len(data) - 1, 7):
        file.path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(ConfigError, match=r"security\.json"):
            file.read()
    for size in range(0, len(data) - 2, 31):
        file.path.write_bytes(data[:size])
        with pytest.raises(ConfigError, match="another node"):
            file.read()


def test_another_format_is_named(tmp_path: Path) -> None:
    file = SecurityFile(tmp_path)
    file.path.write_bytes(msgspec.json.encode({"format": 2, "check": "", "entries": []}))
    with pytest.raises(ConfigError, match="format 2"):
        file.read()


def test_what_cannot_be_read_or_written(tmp_path: Path) -> None:
    SecurityFile(tmp_path).path.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        SecurityFile(tmp_path).read()
    with pytest.raises(StorageError) as caught:
        SecurityFile(tmp_path / "no").write(full())
    assert caught.value.outcome == "unknown"

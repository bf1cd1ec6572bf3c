"""The file with the first administrator's token."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kvorum.model.errors import ConfigError
from kvorum.node.admin_token import write_admin_token
from kvorum.service.tokens import first_administrators

SECRET = b"a secret of sixteen bytes"


def test_it_holds_the_token_for_its_owner_alone(tmp_path: Path) -> None:
    path = write_admin_token(tmp_path, SECRET)
    assert path == tmp_path / "admin.token"
    assert path.read_text() == first_administrators(SECRET).text + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_replaces_one_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_text("old")
    (tmp_path / "admin.token").chmod(0o644)
    path = write_admin_token(tmp_path, SECRET)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_directory_that_is_not_there_is_named_and_no_secret_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        write_admin_token(tmp_path / "away", SECRET)
    assert str(tmp_path / "away" / "admin.token") in str(raised.value)
    assert first_administrators(SECRET).text not in str(raised.value)

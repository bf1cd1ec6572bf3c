"""What a directory of certificates holds: everything that keeps one from being used is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kvorum.certificates.authority import Authority
from kvorum.certificates.holding import Held, held_in
from kvorum.model.errors import ConfigError

DAY = timedelta(days=1)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    authority = Authority.create(tmp_path / "certs", "shop")
    authority.issue_client("app")
    authority.issue_node("n1", ["127.0.0.1"])
    authority.issue_node("n2", ["10.0.0.2"])
    return tmp_path / "certs"


def listed(directory: Path, after: timedelta = timedelta()) -> dict[str, Held]:
    return {one.name: one for one in held_in(directory, datetime.now(UTC) + after)}


def test_all_that_is_there_is_listed(directory: Path) -> None:
    held = listed(directory)
    assert [(one.name, one.kind) for one in held.values()] == [
        ("ca", "authority"),
        ("n1", "node"),
        ("n2", "node"),
        ("app", "client"),
    ]
    assert held["n1"].hosts == ["localhost", "127.0.0.1", "::1"]
    assert not any(one.faults or one.warnings for one in held.values())


def test_what_expires_soon_or_has_expired(directory: Path) -> None:
    soon = listed(directory, 77 * DAY)
    assert soon["app"].warnings == ["expires soon"]
    assert soon["n1"].warnings == []
    later = listed(directory, 340 * DAY)
    assert later["app"].faults == ["expired"]
    assert later["n1"].warnings == ["expires soon"]
    [fault] = listed(directory, -DAY)["n1"].faults
    assert fault.startswith("not valid before ")


def _broken(directory: Path) -> None:
    (directory / "n1.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA")


def _of_another_name(directory: Path) -> None:
    for kind in ("crt", "key"):
        shutil.copy(directory / f"n2.{kind}", directory / f"n1.{kind}")


def _key_of_another(directory: Path) -> None:
    shutil.copy(directory / "n2.key", directory / "n1.key")


def _key_for_others(directory: Path) -> None:
    (directory / "n1.key").chmod(0o640)


def _broken_key(directory: Path) -> None:
    (directory / "n1.key").write_text("no key")


def _foreign(directory: Path) -> None:
    other = Authority.create(directory.parent / "other", "shop").issue_node("n1", ["a.example"])
    shutil.copy(other.certificate, directory / "n1.crt")
    shutil.copy(other.key, directory / "n1.key")


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_broken, "no certificate that can be read"),
        (_of_another_name, "is for the node n2"),
        (_key_of_another, "the key does not fit"),
        (_key_for_others, "others may read the key"),
        (_broken_key, "no key that can be read"),
        (_foreign, "of another authority"),
    ],
)
def test_what_cannot_be_used_is_said(
    directory: Path, spoil: Callable[[Path], None], fault: str
) -> None:
    spoil(directory)
    held = listed(directory)
    assert held["n1"].faults == [fault]
    assert held["n2"].faults == []


def test_a_directory_of_a_node_has_no_key_of_the_authority(directory: Path) -> None:
    (directory / "ca.key").unlink()
    (directory / "n2.key").unlink()
    held = listed(directory)
    assert not held["ca"].faults + held["ca"].warnings
    assert held["n2"].warnings == ["its key is not here"]
    (directory / "ca.crt").unlink()
    assert listed(directory)["ca"].faults == ["missing"]


def test_a_directory_without_any_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match="There are no certificates in"):
            held_in(path, datetime.now(UTC))

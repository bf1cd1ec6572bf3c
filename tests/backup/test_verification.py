"""Whatever has become of a snapshot since it was made, verification says so."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kit.backed_up import BackedUp

from kvorum.backup import manifest
from kvorum.backup.manifest import Content, Manifest, Origin, SnapshotFile
from kvorum.backup.progress import Progress
from kvorum.backup.verification import verify
from kvorum.model.errors import ConfigError, KvorumError, StorageError
from kvorum.sealing.master_key import MasterKey

HOSTILE_PATHS = [
    "../keys.json",
    "/etc/passwd",
    "rocks/../../keys.json",
    "rocks/..",
    "rocks/.",
    "rocks//a",
    "rocks/a/b",
    "rocks/",
    "..",
    "",
    "rocks/a\0",
    "rocks/a\n",
    "manifest.json",
    "LOCK",
    "master.key",
    "dictionaries/.a",
]


@pytest.fixture
def path(node: BackedUp) -> Path:
    node.create("monday")
    return node.snapshot("monday")


def check(node: BackedUp, path: Path) -> None:
    verify(path, node.master, Progress())


def test_a_flipped_bit_in_any_file(node: BackedUp, path: Path) -> None:
    files = [file for file in path.rglob("*") if file.is_file() and file.stat().st_size]
    assert len(files) > 6
    for file in files:
        sound = file.read_bytes()
        for place in {0, len(sound) // 2, len(sound) - 1}:
            changed = bytearray(sound)
            changed[place] ^= 1
            # Not in place: that would change the store's file as well.
            file.unlink()
            file.write_bytes(changed)
            with pytest.raises(KvorumError):
                check(node, path)
        file.unlink()
        file.write_bytes(sound)
    check(node, path)


def test_a_missing_file(node: BackedUp, path: Path) -> None:
    (path / "rocks" / "CURRENT").unlink()
    with pytest.raises(StorageError, match="missing"):
        check(node, path)


def test_a_file_that_was_slipped_in(node: BackedUp, path: Path) -> None:
    (path / "rocks" / "000099.log").touch()
    with pytest.raises(StorageError, match=r"000099\.log"):
        check(node, path)


def test_a_file_that_no_snapshot_has(node: BackedUp, path: Path) -> None:
    for name in ("rocks/.hidden", "strange", "rocks/a b", "LOCK"):
        (path / name).touch()
        with pytest.raises(KvorumError, match=name.rpartition("/")[2]):
            check(node, path)
        (path / name).unlink()


def test_a_link_in_the_place_of_a_file(node: BackedUp, path: Path, tmp_path: Path) -> None:
    file = path / "keys.json"
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    with pytest.raises(StorageError):
        check(node, path)


def test_a_link_in_the_place_of_a_directory(node: BackedUp, path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (path / "rocks").rename(elsewhere)
    (path / "rocks").symlink_to(elsewhere)
    with pytest.raises(KvorumError):
        check(node, path)


def test_a_pipe_in_the_place_of_a_file(node: BackedUp, path: Path) -> None:
    (path / "keys.json").unlink()
    os.mkfifo(path / "keys.json")
    with pytest.raises(StorageError):
        check(node, path)


def test_another_directory_under_its_name(node: BackedUp, path: Path) -> None:
    path.rename(path.with_name("tuesday"))
    with pytest.raises(ConfigError, match="monday"):
        check(node, path.with_name("tuesday"))


def test_a_foreign_master_key(node: BackedUp, path: Path) -> None:
    stranger = MasterKey(secrets.token_bytes(32))
    with pytest.raises(ConfigError, match=node.master.id):
        verify(path, stranger, Progress())


def test_a_manifest_with_another_mac(node: BackedUp, path: Path) -> None:
    rewrite(path, mac="00" * 32)
    with pytest.raises(ConfigError, match="damaged or changed"):
        check(node, path)
    rewrite(path, mac="no number")
    with pytest.raises(ConfigError, match="damaged or changed"):
        check(node, path)


def test_a_later_format(node: BackedUp, path: Path) -> None:
    rewrite(path, format=2)
    with pytest.raises(ConfigError, match="later kvorum"):
        check(node, path)


def test_no_earlier_format(node: BackedUp, path: Path) -> None:
    rewrite(path, format=0)
    with pytest.raises(ConfigError, match="format"):
        check(node, path)


def test_paths_cannot_escape(node: BackedUp, path: Path) -> None:
    """Not even if whoever wrote them has the master key."""
    content = manifest.read(path).claimed()
    for name in HOSTILE_PATHS:
        hostile = SnapshotFile(name, 0, "0" * 64)
        changed = msgspec.structs.replace(content, files=(*content.files, hostile))
        manifest.write(path, changed, node.master)
        with pytest.raises(ConfigError, match="no snapshot has"):
            check(node, path)


def test_a_file_that_is_listed_twice(node: BackedUp, path: Path) -> None:
    content = manifest.read(path).claimed()
    changed = msgspec.structs.replace(content, files=content.files + content.files[:1])
    manifest.write(path, changed, node.master)
    with pytest.raises(ConfigError, match="twice"):
        check(node, path)


def test_a_manifest_that_is_none(node: BackedUp, path: Path) -> None:
    for text in (b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"format":"1"}'):
        (path / "manifest.json").write_bytes(text)
        with pytest.raises(ConfigError, match=r"manifest\.json"):
            check(node, path)


def test_a_manifest_without_bounds(
    node: BackedUp, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MANIFEST_BYTES_MAX", 100)
    with pytest.raises(ConfigError, match="more than 100 bytes"):
        check(node, path)


def test_what_it_claims_is_checked_for_shape() -> None:
    with pytest.raises(ConfigError, match="damaged"):
        Manifest(1, "", "", msgspec.Raw(b'{"name":1}')).claimed()
    assert Content.__struct_config__.forbid_unknown_fields


def test_its_bytes_are_what_they_always_were(tmp_path: Path) -> None:
    origin = Origin("c", "n1", "ab" * 16, 1, 'x = "ä"\n')
    files = (SnapshotFile("keys.json", 7, "0" * 64),)
    content = Content("monday", 1_700_000_000_000, origin, files)
    master = MasterKey(bytes(range(32)))
    manifest.write(tmp_path, content, master)
    assert (tmp_path / "manifest.json").read_bytes().decode() == (
        '{"format":1,"master_key":"1ea887a70a6e0546",'
        '"mac":"2a58821b3a42794a41d3447459496f9d979be822efc01917e6c14dfbf5fed24a",'
        '"content":{"name":"monday","created_ms":1700000000000,'
        f'"origin":{{"cluster":"c","node":"n1","node_id":"{"ab" * 16}","epoch":1,'
        '"topology":"x = \\"ä\\"\\n"},'
        f'"files":[{{"path":"keys.json","size":7,"digest":"{"0" * 64}"}}]}}}}\n'
    )
    assert manifest.read(tmp_path).verified(master) == content


def rewrite(path: Path, **fields: Any) -> None:
    found = msgspec.structs.replace(manifest.read(path), **fields)
    (path / "manifest.json").write_bytes(msgspec.json.encode(found) + b"\n")

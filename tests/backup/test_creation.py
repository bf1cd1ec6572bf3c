"""Snapshots as they are made: complete, cheap, and either whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from kit.backed_up import BackedUp

from kvorum.backup import layout, manifest
from kvorum.backup.catalog import summaries
from kvorum.backup.creation import create
from kvorum.backup.progress import Progress
from kvorum.backup.verification import verify
from kvorum.model.errors import PreconditionFailed, RequestError, StorageError, UnavailableError


def test_it_is_what_its_manifest_says(node: BackedUp) -> None:
    content = node.create("monday")
    assert (content.name, content.origin.node, content.origin.cluster) == ("monday", "n1", "local")
    paths = {file.path for file in content.files}
    assert {"keys.json", "node.json", "rocks/CURRENT"} <= paths
    assert verify(node.snapshot("monday"), node.master, Progress()) == content


def test_it_shares_its_sorted_files_with_the_store(node: BackedUp) -> None:
    node.create("monday")
    files = list((node.snapshot("monday") / "rocks").glob("*.sst"))
    assert files
    for file in files:
        assert file.samefile(node.path / "rocks" / file.name)


def test_a_second_one_hashes_only_what_is_new(node: BackedUp) -> None:
    first, second = Progress(), Progress()
    one = node.create("monday", first)
    node.store.set("one more", 1)
    two = node.create("tuesday", second)
    old = {file.path: file.digest for file in one.files if file.path.endswith(".sst")}
    assert old.items() <= {file.path: file.digest for file in two.files}.items()
    assert second.done == second.total
    assert second.total <= two.size - sum(file.size for file in two.files if file.path in old)
    verify(node.snapshot("tuesday"), node.master, Progress())


def test_a_digest_is_not_taken_from_a_file_that_only_looks_alike(node: BackedUp) -> None:
    node.create("monday")
    for file in (node.snapshot("monday") / "rocks").glob("*.sst"):
        # The same name and size, but another file.
        copy = file.read_bytes()
        file.unlink()
        file.write_bytes(bytes(len(copy)))
    node.create("tuesday")
    verify(node.snapshot("tuesday"), node.master, Progress())


def test_it_stays_what_it_was(node: BackedUp) -> None:
    content = node.create("monday")
    for i in range(100):
        node.store.set(f"key {i}", "changed")
    node.store._engine.store.rocks.compact()
    assert verify(node.snapshot("monday"), node.master, Progress()) == content
    assert summaries(node.path)[0].shared_bytes < content.size


def test_a_name_is_given_once(node: BackedUp) -> None:
    content = node.create("monday")
    with pytest.raises(PreconditionFailed, match="monday"):
        node.create("monday")
    assert verify(node.snapshot("monday"), node.master, Progress()) == content


def test_names_that_are_none(node: BackedUp) -> None:
    for name in ("", ".", "..", "a/b", "../a", ".a", "a" * 65, "ä", "a b", "a\n"):
        with pytest.raises(RequestError, match="name"):
            node.create(name)
    assert not (node.path / "snapshots").exists()


def test_what_a_crash_left_is_no_snapshot_and_goes(node: BackedUp) -> None:
    node.create("monday")
    (node.snapshot("monday") / "manifest.json").unlink()
    assert summaries(node.path) == []
    node.create("tuesday")
    assert not node.snapshot("monday").exists()
    assert [summary.name for summary in summaries(node.path)] == ["tuesday"]


def test_the_name_of_one_that_was_cut_short_is_free(node: BackedUp) -> None:
    node.create("monday")
    (node.snapshot("monday") / "manifest.json").unlink()
    node.create("monday")
    verify(node.snapshot("monday"), node.master, Progress())


def test_one_that_fails_leaves_nothing(node: BackedUp) -> None:
    def fail(path: Path) -> None:
        path.mkdir()
        raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="full"):
        create(node.node._replace(checkpoint=fail), "monday", 0, Progress())
    assert os.listdir(node.path / "snapshots") == []


def test_one_that_is_cancelled_leaves_nothing(node: BackedUp) -> None:
    progress = Progress()
    progress.cancelled = True
    with pytest.raises(UnavailableError, match="stops"):
        node.create("monday", progress)
    assert os.listdir(node.path / "snapshots") == []


def test_keys_that_change_meanwhile_are_the_ones_it_has(node: BackedUp) -> None:
    taken: list[Path] = []

    def checkpoint(path: Path) -> None:
        if not taken:
            node.store._engine.store.vault.rotate("default", 1)
        node.checkpoint(path)
        taken.append(path)

    create(node.node._replace(checkpoint=checkpoint), "monday", 0, Progress())
    assert len(taken) == 2
    kept = node.snapshot("monday") / "keys.json"
    assert kept.read_bytes() == (node.path / "keys.json").read_bytes()
    assert kept.stat().st_nlink == 1, "the keyring overwrites its old file where it lies"


def test_keys_that_never_rest_are_given_up(node: BackedUp) -> None:
    def checkpoint(path: Path) -> None:
        node.store._engine.store.vault.rotate("default", 1)
        node.checkpoint(path)

    with pytest.raises(StorageError, match="rotated"):
        create(node.node._replace(checkpoint=checkpoint), "monday", 0, Progress())
    assert os.listdir(node.path / "snapshots") == []


def test_nothing_in_it_is_plain(node: BackedUp) -> None:
    node.store.set("a name that is secret", "a value that is secret")
    node.create("monday")
    for file in node.snapshot("monday").rglob("*"):
        if file.is_file():
            assert b"that is secret" not in file.read_bytes(), file


def test_a_deleted_one_is_gone(node: BackedUp) -> None:
    node.create("monday")
    layout.remove(node.snapshot("monday"))
    assert summaries(node.path) == []
    assert not node.snapshot("monday").exists()


def test_a_manifest_that_makes_no_sense_is_listed_as_damaged(node: BackedUp) -> None:
    node.create("monday")
    (node.snapshot("monday") / "manifest.json").write_text(json.dumps({"format": 1}))
    (summary,) = summaries(node.path)
    assert summary.name == "monday"
    assert "damaged" in summary.damage
    assert manifest.FORMAT == 1

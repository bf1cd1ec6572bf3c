"""A stopped node with another store in place: a new identity, and nothing deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.backed_up import backed_up

import kvorum
from kvorum.backup import replacement
from kvorum.backup.manifest import Content
from kvorum.backup.progress import Progress
from kvorum.backup.verification import verify
from kvorum.model.errors import ConfigError
from kvorum.storage import identity, recovery_note


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Path, Content]:
    """A data directory with a snapshot, and one change since."""
    path = tmp_path / "n1"
    with backed_up(path) as node:
        node.store.set("a", "old")
        content = node.create("monday")
        node.store.set("a", "new")
    return path, content


def snapshot_of(path: Path) -> Path:
    return path / "snapshots" / "monday"


def test_the_snapshots_data_is_back(stopped: tuple[Path, Content]) -> None:
    path, content = stopped
    replacement.restore(path, snapshot_of(path), content)
    with kvorum.open(path) as store:
        assert store.get("a") == "old"
        store.set("a", "newer")
    with kvorum.open(path) as store:
        assert store.get("a") == "newer"


def test_no_dot_can_come_again(stopped: tuple[Path, Content]) -> None:
    path, content = stopped
    with kvorum.open(path) as store:
        before = store.get_entry("a").clock
        old = store._engine.store.directory.node_id
    new = replacement.restore(path, snapshot_of(path), content)
    assert new != old
    with kvorum.open(path) as store:
        assert store._engine.store.directory.node_id == new
        assert store._engine.store.store.get(recovery_note.NOTE) == b"lost"
        clock = store.set("a", "other").clock
    assert {entry.node for entry in clock}.isdisjoint(
        {entry.node for entry in before if entry.node != "n1"}
    )
    found = identity.decode((path / "node.json").read_bytes())
    assert found.node_id == new


def test_the_address_book_is_kept(stopped: tuple[Path, Content]) -> None:
    path, content = stopped
    file = path / "node.json"
    known = identity.decode(file.read_bytes()).knowing("ab" * 16, "n2")
    file.write_bytes(identity.encode(known))
    replacement.restore(path, snapshot_of(path), content)
    found = identity.decode(file.read_bytes())
    assert found.names == {"ab" * 16: "n2"}
    assert (found.counter, found.incarnation, found.founded) == (0, 1, True)


def test_what_was_there_is_aside(stopped: tuple[Path, Content]) -> None:
    path, content = stopped
    old = {file.name: file.read_bytes() for file in (path / "rocks").glob("*.sst")}
    keys = (path / "keys.json").read_bytes()
    replacement.restore(path, snapshot_of(path), content)
    aside = path / "rocks.before-monday"
    assert {file.name: file.read_bytes() for file in aside.glob("*.sst")} == old
    assert (path / "keys.json.before-monday").read_bytes() == keys


def test_a_second_time_nothing_is_overwritten(stopped: tuple[Path, Content]) -> None:
    path, content = stopped
    for _ in range(2):
        replacement.restore(path, snapshot_of(path), content)
    assert (path / "rocks.before-monday").is_dir()
    assert (path / "rocks.before-monday-2").is_dir()


def test_the_snapshot_stays_what_it_was(stopped: tuple[Path, Content]) -> None:
    path, content = stopped
    replacement.restore(path, snapshot_of(path), content)
    with kvorum.open(path) as store:
        master = store._engine.store.vault.keyring.master
        store.set("a", "changed")
        store._engine.store.rocks.compact()
    assert verify(snapshot_of(path), master, Progress()) == content


@pytest.mark.parametrize("step", ["_set_aside", "durable_file.replace", "shutil.copytree"])
def test_cut_short_it_is_not_started_and_can_be_repeated(
    stopped: tuple[Path, Content], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path, content = stopped
    where = f"kvorum.backup.replacement.{step}"
    done = 0

    def fail_on_second(*_: object) -> object:
        raise KeyboardInterrupt

    original = replacement._set_aside
    if step == "_set_aside":

        def cut(what: Path, label: str) -> object:
            nonlocal done
            done += 1
            if done == 2:
                raise KeyboardInterrupt
            return original(what, label)

        monkeypatch.setattr(where, cut)
    else:
        monkeypatch.setattr(where, fail_on_second)
    with pytest.raises(KeyboardInterrupt):
        replacement.restore(path, snapshot_of(path), content)
    monkeypatch.undo()
    if step == "durable_file.replace":
        with kvorum.open(path) as store:
            assert store.get("a") == "new", "nothing was changed yet"
    else:
        with pytest.raises(ConfigError, match="missing"):
            kvorum.open(path)
    replacement.restore(path, snapshot_of(path), content)
    with kvorum.open(path) as store:
        assert store.get("a") == "old"


def test_another_nodes_snapshot_is_refused_and_nothing_changed(
    stopped: tuple[Path, Content], tmp_path: Path
) -> None:
    path, content = stopped
    file = path / "node.json"
    state = identity.decode(file.read_bytes())
    facts = identity.Facts("local", "n2", 256, "murmur3", 0)
    file.write_bytes(identity.encode(identity.first_life(facts)))
    before = sorted(entry.name for entry in path.iterdir())
    with pytest.raises(ConfigError, match="node"):
        replacement.restore(path, snapshot_of(path), content)
    assert sorted(entry.name for entry in path.iterdir()) == before
    assert state.facts.node == "n1"


def test_into_a_directory_with_nothing_but_snapshots(
    stopped: tuple[Path, Content], tmp_path: Path
) -> None:
    path, content = stopped
    moved = tmp_path / "moved"
    moved.mkdir()
    (path / "snapshots").rename(moved / "snapshots")
    (path / "master.key").rename(moved / "master.key")
    replacement.restore(moved, snapshot_of(moved), content)
    with kvorum.open(moved) as store:
        assert store.get("a") == "old"


def test_an_empty_store_in_the_place_of_a_damaged_one(stopped: tuple[Path, Content]) -> None:
    path, _ = stopped
    old = identity.decode((path / "node.json").read_bytes())
    aside = replacement.empty(path, "before-today")
    assert {one.name for one in aside} == {
        "rocks.before-today",
        "journal.before-today",
        "keys.json.before-today",
        "dictionaries.before-today",
    }
    with kvorum.open(path) as store:
        assert store.get("a") is None
        assert store._engine.store.directory.node_id != old.node_id
        assert store._engine.store.store.get(recovery_note.NOTE) == b"lost"


def test_also_where_nobody_knows_who_it_was(stopped: tuple[Path, Content]) -> None:
    path, _ = stopped
    (path / "node.json").write_bytes(b"damaged")
    replacement.empty(path, "before-today")
    assert (path / "node.json.before-today").read_bytes() == b"damaged"
    with kvorum.open(path) as store:
        assert store.get("a") is None


def test_files_on_another_disk_are_copied(
    stopped: tuple[Path, Content], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = stopped

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    replacement.restore(path, snapshot_of(path), content)
    monkeypatch.undo()
    with kvorum.open(path) as store:
        assert store.get("a") == "old"


def test_a_node_gets_its_namespaces_back_with_a_snapshot_and_keeps_those_that_it_has(
    tmp_path: Path,
) -> None:
    path = tmp_path / "n1"
    with backed_up(path) as node:
        node.store.create_namespace("kept", ttl=3600)
        node.store.set("a", "old", namespace="kept")
        content = node.create("monday")
        node.store.create_namespace("later")
    replacement.restore(path, snapshot_of(path), content)
    with kvorum.open(path) as store:
        assert store.namespaces().keys() == {"default", "kept", "later"}
        assert store.get("a", namespace="kept") == "old"
    elsewhere = tmp_path / "n2"
    elsewhere.mkdir()
    replacement.restore(elsewhere, snapshot_of(path), content)
    with kvorum.open(elsewhere, master_key=f"file:{path / 'master.key'}") as store:
        assert store.namespaces().keys() == {"default", "kept"}
        assert store.namespaces()["kept"].ttl == 3600
        assert store.get("a", namespace="kept") == "old"

"""What a restore reads: every record, merged over the snapshots, and nothing changed by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.backed_up import BackedUp, backed_up

from kvorum.backup.progress import Progress
from kvorum.backup.reading import FoundRecord, SnapshotReader, known_damage, merged
from kvorum.backup.verification import verify
from kvorum.model.errors import ConfigError, CorruptRecord, UnavailableError
from kvorum.model.record import Record
from kvorum.sealing import quarantine
from kvorum.sealing.compression import learn
from kvorum.sealing.master_key import FileSource


@contextmanager
def reading(*nodes: BackedUp) -> Iterator[list[SnapshotReader]]:
    readers = []
    for node in nodes:
        path = node.snapshot("monday")
        content = verify(path, node.master, Progress())
        readers.append(SnapshotReader(path, content, FileSource(node.path / "master.key")))
    yield readers
    for reader in readers:
        reader.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[BackedUp]:
    """Another node of the cluster, which has keys of its own."""
    with backed_up(tmp_path / "n2") as other:
        yield other


def found(*nodes: BackedUp, after: bytes = b"") -> dict[str, Record]:
    with reading(*nodes) as readers:
        return {record.key: record.record for record in merged(readers, after)}


def test_every_record_comes_once(node: BackedUp) -> None:
    node.store.delete("key 7")
    node.create("monday")
    node.store.set("later", 1)
    records = found(node)
    assert set(records) == {f"key {i}" for i in range(100)}
    assert not records["key 7"].versions, "a tombstone goes along"
    assert records["key 8"].versions[0].value == b'{"number":8}'


def test_records_of_a_key_are_merged(node: BackedUp, other: BackedUp) -> None:
    other.store.set("key 1", "of another")
    other.store.set("only here", 1)
    for one in (node, other):
        one.create("monday")
    records = found(node, other)
    assert len(records) == 101
    assert {version.value for version in records["key 1"].versions} == {
        b'{"number":1}',
        b'"of another"',
    }


def test_it_can_go_on_after_any_record(node: BackedUp, other: BackedUp) -> None:
    other.store.set_many({f"other {i}": i for i in range(50)})
    for one in (node, other):
        one.create("monday")
    with reading(node, other) as readers:
        everything: list[FoundRecord] = list(merged(readers))
        for at in (0, 1, 70, 148, 149):
            rest = list(merged(readers, everything[at].done))
            # What is done need not come again; all else must.
            assert rest[-(149 - at) :] == everything[at + 1 :] or at == 149
        dones = [record.done for record in everything]
    assert all(a <= b for a, b in itertools.pairwise(dones))


def test_reading_leaves_the_snapshot_as_it_was(node: BackedUp) -> None:
    content = node.create("monday")
    found(node)
    assert verify(node.snapshot("monday"), node.master, Progress()) == content


def test_what_was_sealed_with_an_older_key_and_a_dictionary_is_read(node: BackedUp) -> None:
    vault = node.store._engine.store.vault
    samples = [b'{"session": %d, "user": "user %d"}' % (i, i * 7) for i in range(2000)]
    dictionary = learn(samples, 4096, 3)
    assert dictionary is not None
    vault.dictionaries.add("default", dictionary)
    vault._load("default")
    node.store.set("with a dictionary", {"session": 1, "user": "user 7"})
    vault.rotate("default", 1)
    node.store.set("with a new key", 1)
    node.create("monday")
    records = found(node)
    assert len(records) == 102
    assert records["with a dictionary"].versions[0].value == b'{"session":1,"user":"user 7"}'


def test_another_clusters_keys_are_refused(node: BackedUp, other: BackedUp) -> None:
    node.create("monday")
    content = verify(node.snapshot("monday"), node.master, Progress())
    with pytest.raises(ConfigError, match="master key"):
        SnapshotReader(node.snapshot("monday"), content, FileSource(other.path / "master.key"))


def test_damage_that_nobody_knew_of_is_met_when_it_is_read(node: BackedUp) -> None:
    place = node.damage("key 7")
    node.create("monday")
    assert known_damage(node.snapshot("monday")) == 0
    with reading(node) as (reader,):
        assert (reader.damaged, reader.unread) == (0, set())
        for _ in range(2):
            assert len(list(merged([reader]))) == 99
            assert (reader.damaged, reader.unread) == (1, {place[1:9]})


def test_damage_that_was_known_is_told_without_reading(node: BackedUp) -> None:
    place = node.damage("key 7")
    with pytest.raises(UnavailableError):
        node.store.get("key 7")
    node.create("monday")
    assert known_damage(node.snapshot("monday")) == 1
    with reading(node) as (reader,):
        (note,) = reader.notes(quarantine.START, quarantine.END)
        assert note[2:10] == place[1:9]


def test_a_scan_of_a_store_names_what_is_damaged_behind_all_else(node: BackedUp) -> None:
    sound = node.record("key 7")
    place = node.damage("key 7")
    for _ in range(2):
        found: list[str] = []
        with pytest.raises(CorruptRecord) as caught:
            found.extend(entry.key for entry in node.store.scan())
        assert set(found) == {f"key {i}" for i in range(100)} - {"key 7"}
        (one,) = caught.value.details["unreadable"]
        assert (one["token"], one["nodes"]) == (place[1:9].hex(), ["n1"])
    node.store._engine.store.store.put(
        place, sound, lambda _arg, _error: None, None
    )  # not flushed yet
    assert len(list(node.store.scan())) == 100

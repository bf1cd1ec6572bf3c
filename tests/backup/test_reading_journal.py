"""What a restore reads of a snapshot of data format 3, whose node had not flushed all that was
written; and that a later one has all of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from kit.backed_up import BackedUp, backed_up

import kvorum
from kvorum.backup import replacement
from kvorum.backup.progress import Progress
from kvorum.backup.reading import SnapshotReader, merged
from kvorum.backup.verification import verify
from kvorum.journal.entries import SealedEntries
from kvorum.journal.former_entries import END, START
from kvorum.journal.memtable import Change
from kvorum.model.errors import StorageError
from kvorum.model.record import Event, Record, Version, decode, encode
from kvorum.sealing.master_key import FileSource

MANY: Final = 1 << 20
PLACES: Final = 40
NAMES: Final = ("a", "ab", "b")
"""The keys of each place."""

Found = tuple[bytes, bytes, Record]


def key_of(place: int, name: str) -> bytes:
    token = place * 0x9E3779B97F4A7C15 % (1 << 64)
    return b"d" + token.to_bytes(8) + b"default\0" + name.encode()


KEYS: Final = [key_of(place, name) for place in range(PLACES) for name in NAMES]


def record_of(key: bytes, number: int, actor: int = 7) -> bytes:
    dot = Event(actor, number + 1, 1_795_000_000_000)
    return encode(key, Record((dot,), (Version(dot, 1, b"%d" % number),)))


class Writer:
    """Writes as a node of data format 3 did, below the replicator, so that keys may share a place:
    each commit is an entry among the pairs, which goes when what it holds has been flushed.
    """

    def __init__(self, node: BackedUp, actor: int) -> None:
        self._parts = node.store._store
        self._runtime = node.store._runtime
        self._entries = SealedEntries(self._parts.vault.seal, node.node.origin().cluster)
        self._actor = actor
        self._number = 0
        self._last = 0
        self._gathered: list[Change] = []
        self._unfiled: dict[bytes, bytes | None] = {}
        self._visible: dict[bytes, bytes] = {}

    def put(self, key: bytes) -> None:
        self._number += 1
        self._visible[key] = record_of(key, self._number, self._actor)
        self._gathered += [(key, self._visible[key]), (b"hn2\0" + key, bytes(16))]

    def delete(self, key: bytes) -> None:
        self._visible.pop(key, None)
        self._gathered += [(key, None), (b"hn2\0" + key, None)]

    def commit(self) -> None:
        self._last += 1
        entry = self._entries.seal(self._last, self._gathered)
        self._parts.rocks.put(entry_key(self._last), entry, _acknowledged, None)
        self._unfiled |= dict(self._gathered)
        self._gathered = []
        self._runtime.turn()

    def flush(self) -> Iterator[None]:
        """What has been committed, step by step."""
        entries = self.entries()
        for key, value in self._unfiled.items():
            self._parts._sealed.write(key, value)
            yield
        for key in entries:
            self._parts.rocks.write(key, None)
            yield
        self._unfiled = {}

    def file(self) -> None:
        self.commit()
        for _ in self.flush():
            pass
        self._runtime.turn()

    def forget(self) -> None:
        """All was shredded."""
        self._visible = {}

    def entries(self) -> list[bytes]:
        return [key for key, _ in self._parts.rocks.scan(START, END, MANY)]

    def visible(self) -> list[Found]:
        return [(key[:9], key, decode(key, data)) for key, data in sorted(self._visible.items())]

    def flip(self, entry: bytes) -> None:
        data = bytearray(self._parts.rocks.get(entry) or b"")
        data[-1] ^= 1
        self._parts.rocks.put(entry, bytes(data), _acknowledged, None)
        self._runtime.turn()


def entry_key(number: int) -> bytes:
    return START + number.to_bytes(8)


def _acknowledged(_arg: object, error: StorageError | None) -> None:
    assert error is None


def fill(writer: Writer, seed: int) -> None:
    """Each key is flushed or not, or both, or deleted after it was flushed, or never written."""
    chance = random.Random(seed)
    for key in KEYS:
        if chance.random() < 0.6:
            writer.put(key)
    writer.file()
    for _ in range(10):
        for key in chance.sample(KEYS, 10):
            if chance.random() < 0.6:
                writer.put(key)
            else:
                writer.delete(key)
        writer.commit()
    assert len(writer.entries()) == 10


@pytest.fixture
def node(tmp_path: Path) -> Iterator[BackedUp]:
    with backed_up(tmp_path / "n1") as node:
        yield node


@pytest.fixture
def other(tmp_path: Path) -> Iterator[BackedUp]:
    with backed_up(tmp_path / "n2") as other:
        yield other


@contextmanager
def reading(*nodes: BackedUp, name: str = "monday") -> Iterator[list[SnapshotReader]]:
    readers = []
    for node in nodes:
        path = node.snapshot(name)
        content = verify(path, node.master, Progress())
        readers.append(SnapshotReader(path, content, FileSource(node.path / "master.key")))
    yield readers
    for reader in readers:
        reader.close()


def in_order(records: list[Found]) -> list[Found]:
    """Those of one place come in any order."""
    assert [place for place, _, _ in records] == sorted(place for place, _, _ in records)
    return sorted(records, key=lambda found: found[:2])


@pytest.mark.parametrize("seed", range(4))
def test_it_reads_what_could_be_seen_and_goes_on_after_any_place(node: BackedUp, seed: int) -> None:
    writer = Writer(node, 7)
    fill(writer, seed)
    node.create("monday")
    wanted = writer.visible()
    with reading(node) as (reader,):
        assert in_order(list(reader.records())) == wanted
        for after in {place for place, _, _ in wanted} | {b"d", b"d\x80", b"d" + b"\xff" * 8}:
            rest = [found for found in wanted if found[0] > after]
            assert in_order(list(reader.records(after))) == rest
        assert reader.damaged == 0


def test_it_reads_what_could_be_seen_while_a_segment_was_filed(node: BackedUp) -> None:
    writer = Writer(node, 7)
    fill(writer, 1)
    for place in range(PLACES // 2, 4 * PLACES):
        writer.put(key_of(place, "a"))
    writer.commit()
    names: list[str] = []
    for step, _ in enumerate(writer.flush()):
        if step % 50 == 0:
            names.append(f"step{step}")
            node.create(names[-1])
    assert len(names) > 3
    wanted = writer.visible()
    for name in names:
        with reading(node, name=name) as (reader,):
            assert in_order(list(reader.records())) == wanted


def test_records_of_two_journals_are_merged(node: BackedUp, other: BackedUp) -> None:
    one, two = Writer(node, 7), Writer(other, 8)
    fill(one, 1)
    fill(two, 2)
    for each in (node, other):
        each.create("monday")
    values: dict[str, set[bytes]] = {}
    for writer in (one, two):
        for place, key, record in writer.visible():
            name = f"{place.hex()} {key[17:].decode()}"
            values.setdefault(name, set()).update(version.value for version in record.versions)
    with reading(node, other) as readers:
        everything = list(merged(readers))
        assert len(everything) == len(values)
        assert sorted(values.values(), key=sorted) == sorted(
            ({version.value for version in found.record.versions} for found in everything),
            key=sorted,
        )
        for at, found in enumerate(everything):
            rest = list(merged(readers, found.done))
            # Those of a place that is not done come again, and all that follow.
            assert rest[len(rest) - len(everything) + at + 1 :] == everything[at + 1 :]
            assert len(rest) <= len(everything)


def test_a_damaged_entry_is_counted_and_the_others_are_read(node: BackedUp) -> None:
    writer = Writer(node, 7)
    for key in KEYS:
        writer.put(key)
        if key[-2:] == b"\0b":
            writer.commit()
    entries = writer.entries()
    assert len(entries) == PLACES
    for number in (0, 17):
        writer.flip(entries[number])
    node.create("monday")
    lost = {key_of(place, name) for place in (0, 17) for name in NAMES}
    with reading(node) as (reader,):
        assert reader.damaged == 2
        found = {key for _, key, _ in reader.records()}
    assert found == set(KEYS) - lost


def test_entries_under_an_older_key_are_read_and_shredded_ones_are_not(node: BackedUp) -> None:
    vault = node.store._store.vault
    writer = Writer(node, 7)
    fill(writer, 1)
    vault.rotate("default", 1)
    writer.put(key_of(0, "a"))
    writer.commit()
    node.create("monday")
    wanted = writer.visible()
    with reading(node) as (reader,):
        assert in_order(list(reader.records())) == wanted
    vault.shred("default", 1)
    writer.forget()
    writer.put(key_of(0, "b"))
    writer.commit()
    node.create("tuesday")
    with reading(node, name="tuesday") as (reader,):
        assert [key for _, key, _ in reader.records()] == [key_of(0, "b")]
        assert reader.damaged == 0


def test_a_restored_node_has_what_the_journal_held(tmp_path: Path) -> None:
    path = tmp_path / "n1"
    with backed_up(path) as node:
        node.store.set_many({f"key {i}": i for i in range(100)})
        node.create("sunday")
        node.store.set_many({f"key {i}": "newer" for i in range(50, 150)})
        node.store.delete("key 60")
        content = node.create("monday")
        then = {entry.key: entry.value for entry in node.store.scan()}
        node.store.set_many({f"key {i}": "later" for i in range(200)})
    replacement.restore(path, path / "snapshots" / "monday", content)
    with kvorum.open(path) as store:
        assert {entry.key: entry.value for entry in store.scan()} == then

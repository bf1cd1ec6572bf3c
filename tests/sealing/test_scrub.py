"""The scrubber: what it finds, puts right and lets go, over a store in memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.vaults import (
    NOW_MS,
    CompactingMemory,
    note_key,
    record_key,
    record_of,
    resealed,
    rows,
    vault_of,
)

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.runtime.inline import InlineRuntime
from kvorum.sealing.compression import learn
from kvorum.sealing.key_admin import KeyAdmin
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.scrub import Scrub
from kvorum.sealing.seal import key_id_of, namespace_of
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.sealing.vault import TrainingJob

RECORDS = 300


class Engine:
    """Notes what was asked of it."""

    def __init__(self, runtime: InlineRuntime) -> None:
        self._runtime = runtime
        self.asked: list[str] = []

    def empty(self, settled: Callable[[StorageError | None], object]) -> None:
        self._runtime.call_soon(settled, None)

    def flush(self, settled: Callable[[StorageError | None], object]) -> None:
        self.asked.append("flush")
        self._runtime.call_soon(settled, None)

    def compact(self, settled: Callable[[StorageError | None], object]) -> None:
        self.asked.append("compact")
        self._runtime.call_soon(settled, None)


class Stage:
    """One life of a node's store; `inner` and the directory outlast it."""

    def __init__(self, directory: Path, inner: CompactingMemory, runtime: InlineRuntime) -> None:
        self.inner = inner
        self.runtime = runtime
        self.vault = vault_of(directory, inner)
        resealed(inner, self.vault, runtime)
        self.engine = Engine(runtime)
        self.healed: list[bytes] = []
        self.quarantine = Quarantine(inner, lambda t: t[0], lambda: NOW_MS, self.healed.append)
        self.rows = rows()
        self.store = SealedStore(
            inner, self.vault.seal, self.quarantine.add, self.rows, self.quarantine
        )
        self.scrub = Scrub(
            inner, self.engine, self.vault, runtime, _no_pause, self.quarantine.add, _must_not_fail
        )
        self.key_admin = KeyAdmin(
            self.vault,
            lambda _namespace: self.rows.clear(),
            self.scrub,
            self.quarantine,
            ShredHorizon(inner),
            runtime,
            lambda: None,
            _must_not_fail,
        )

    def put(self, key: bytes, data: bytes) -> None:
        self.store.write(key, data)

    def key_ids(self, namespace: str) -> set[int]:
        pairs = self.inner.scan(b"d", b"i", 10_000)
        of = {key.id for key in self.vault.keyring.describe() if key.namespace == namespace}
        return {key_id_of(sealed) for _, sealed in pairs} & of

    def run(self) -> None:
        """Until no pass is under way."""
        for _ in range(10_000):
            if not self.scrub.running:
                return
            self.runtime.turn()
        raise AssertionError("the pass does not end")


def _no_pause(_count: int) -> float:
    return 0.0


def _must_not_fail(error: StorageError) -> None:
    raise error


def _done(_arg: object, error: StorageError | None) -> None:
    assert error is None


@pytest.fixture
def runtime() -> InlineRuntime:
    return InlineRuntime()


@pytest.fixture
def stage(tmp_path: Path, runtime: InlineRuntime) -> Stage:
    stage = Stage(tmp_path, CompactingMemory(runtime), runtime)
    for n in range(RECORDS):
        key = record_key(n << 50, ("default", "plain", "open")[n % 3], b"name%d" % n)
        stage.put(key, record_of(key, b"value%d" % n))
        stage.put(note_key("n2", key), b"made")
    runtime.turn()
    return stage


def restarted(stage: Stage, tmp_path: Path) -> Stage:
    stage.scrub.stop()
    return Stage(tmp_path, stage.inner, stage.runtime)


def contents(stage: Stage) -> list[tuple[bytes, bytes]]:
    return stage.store.scan(b"d", b"e", 10_000) + stage.store.scan(b"h", b"i", 10_000)


def test_after_a_rotation_no_pair_is_under_the_old_key_and_the_key_is_gone(stage: Stage) -> None:
    before = contents(stage)
    old = stage.vault.keyring.active("default")
    document = stage.key_admin.rotate("default")
    new = document.rotated["default"]
    stage.run()
    assert stage.key_ids("default") == {new}
    assert stage.vault.keyring.by_id(old.id) is None
    assert contents(stage) == before
    assert stage.engine.asked == ["flush"]


def test_all_encrypted_namespaces_are_rotated_where_none_is_named(stage: Stage) -> None:
    assert set(stage.key_admin.rotate(None).rotated) == {"default", "plain"}
    stage.run()
    assert {key.state for key in stage.vault.keyring.describe()} == {"active"}
    assert len(contents(stage)) == 2 * RECORDS


def test_a_rotation_goes_on_after_a_restart_from_where_it_was(stage: Stage, tmp_path: Path) -> None:
    old = stage.vault.keyring.active("default").id
    stage.key_admin.rotate("default")
    stage.runtime.turn()
    second = restarted(stage, tmp_path)
    assert second.scrub.running
    second.scrub.start()
    second.run()
    assert old not in {key.id for key in second.vault.keyring.describe()}
    assert len(contents(second)) == 2 * RECORDS


def test_a_pass_begins_at_once_where_a_crash_came_right_after_the_keyring_was_changed(
    stage: Stage, tmp_path: Path
) -> None:
    old = stage.vault.keyring.active("plain").id
    stage.vault.keyring.rotate("plain", NOW_MS)
    second = restarted(stage, tmp_path)
    second.scrub.start()
    second.runtime.turn()
    second.run()
    assert second.vault.keyring.by_id(old) is None


def test_what_is_written_while_a_pass_goes_on_keeps_its_newest_value(stage: Stage) -> None:
    stage.key_admin.rotate("default")
    key = record_key(299 << 50, "plain", b"name299")
    other = record_key(0, "default", b"name0")
    stage.runtime.turn()
    for written in (key, other):
        stage.put(written, record_of(written, b"newer", 2))
    stage.run()
    stage.rows.clear()
    for written in (key, other):
        assert stage.store.get(written) == record_of(written, b"newer", 2)


def test_a_damaged_pair_is_found_kept_and_not_served(stage: Stage, tmp_path: Path) -> None:
    keys = {ns: record_key(n << 50, ns, b"name%d" % n) for n, ns in ((0, "default"), (2, "open"))}
    for key in keys.values():
        flip(stage, stage.vault.seal.stored_key(key))
    stage.rows.clear()
    stage.key_admin.scrub()
    stage.run()
    assert stage.key_admin.status().quarantine.damaged == 2
    assert len(stage.healed) == 2
    second = restarted(stage, tmp_path)
    assert second.key_admin.status().quarantine.damaged == 2
    for key in keys.values():
        with pytest.raises(CorruptRecord):
            second.store.get(key)
        assert key not in [found for found, _ in contents(second)]
        second.put(key, record_of(key, b"sound", 2))
        assert second.store.get(key) == record_of(key, b"sound", 2)
    assert second.key_admin.status().quarantine.damaged == 0
    assert restarted(second, tmp_path).key_admin.status().quarantine.damaged == 0


def test_a_damaged_pair_does_not_hold_up_the_rotation(stage: Stage) -> None:
    old = stage.vault.keyring.active("default").id
    flip(stage, stage.vault.seal.stored_key(record_key(0, "default", b"name0")))
    stage.key_admin.rotate("default")
    stage.run()
    assert stage.vault.keyring.by_id(old) is None


def test_a_damaged_hint_is_removed_and_told_of(stage: Stage) -> None:
    note = stage.vault.seal.stored_key(note_key("n2", record_key(0, "default", b"name0")))
    flip(stage, note)
    stage.key_admin.scrub()
    stage.run()
    assert stage.inner.get(note) is None
    assert stage.healed == [note]


def test_shredded_records_are_gone_at_once_and_then_from_the_disk(
    stage: Stage, tmp_path: Path
) -> None:
    key = record_key(0, "default", b"name0")
    stage.key_admin.shred("default", NOW_MS + 1000)
    assert stage.store.get(key) is None
    assert {namespace_of(found) for found, _ in contents(stage)} == {b"plain", b"open"}
    second = restarted(stage, tmp_path)
    second.scrub.start()
    second.run()
    assert second.engine.asked == ["compact"]
    assert len(second.inner.scan(b"d", b"e", 10_000)) == RECORDS * 2 // 3
    assert len(second.inner.scan(b"h", b"i", 10_000)) == RECORDS * 2 // 3


def test_it_counts_what_namespaces_hold_before_and_after_sealing(stage: Stage) -> None:
    stage.key_admin.scrub()
    stage.run()
    status = stage.key_admin.status().scrub.whole
    assert status is not None
    assert status.pairs == 2 * RECORDS
    assert status.volumes["open"].pairs == 2 * RECORDS / 3
    assert status.volumes["open"].logical_bytes > 0
    key = stage.vault.keyring.active("plain")
    shares = {k.id: k.share for k in stage.key_admin.keys().keys}
    assert shares[key.id] == pytest.approx(1 / 3)


def test_an_older_dictionary_goes_when_no_record_needs_it(stage: Stage, tmp_path: Path) -> None:
    before = contents(stage)
    older = trained(stage, b"made")
    stage.key_admin.scrub()
    stage.run()
    assert stage.vault.dictionaries.ids("default") == [older]
    newer = trained(stage, b"value")
    assert stage.vault.dictionaries.ids("default") == [older, newer]
    stage.key_admin.scrub()
    stage.run()
    assert stage.vault.dictionaries.ids("default") == [newer]
    assert contents(stage) == before
    assert contents(restarted(stage, tmp_path)) == before


def trained(stage: Stage, word: bytes) -> int:
    chance = random.Random(1)
    samples = [b"name%d %b %b" % (n, word, chance.randbytes(4).hex().encode()) for n in range(5000)]
    dictionary = learn(samples, 4096, 3)
    stage.vault.trained(
        TrainingJob("default", [], 1, None, stage.vault.seal.namespaces[b"default"]),
        dictionary,
        0.0,
    )
    current = stage.vault.dictionaries.current("default")
    assert current is not None
    return current.id


def flip(stage: Stage, stored_key: bytes) -> None:
    sealed = stage.inner.get(stored_key)
    assert sealed is not None
    damaged = sealed[:-3] + bytes([sealed[-3] ^ 1]) + sealed[-2:]
    stage.inner.write(stored_key, damaged)

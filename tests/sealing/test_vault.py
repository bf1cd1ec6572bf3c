"""The vault: keys and dictionaries of a directory, and what becomes of data in other forms."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from kit.vaults import (
    NAMESPACES,
    NOW_MS,
    CompactingMemory,
    not_damaged,
    record_key,
    record_of,
    resealed,
    rows,
    vault_of,
)

from kvorum.model.errors import ConfigError
from kvorum.runtime.inline import InlineRuntime
from kvorum.sealing.master_key import EnvironmentSource
from kvorum.sealing.seal import COMPRESSED, ENCRYPTED, WITH_DICTIONARY
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.vault import FORMAT, NOTE, Vault

ALL = (b"\0", b"\xff" * 8)


def ignore(_arg: object, _error: object) -> None:
    """Nobody waits."""


@pytest.fixture
def runtime() -> InlineRuntime:
    return InlineRuntime()


@pytest.fixture
def store(runtime: InlineRuntime) -> CompactingMemory:
    return CompactingMemory(runtime)


def sealed(store: CompactingMemory, vault: Vault) -> SealedStore:
    return SealedStore(store, vault.seal, not_damaged, rows())


def test_encryption_turned_on_and_off_reseals_that_namespace(
    tmp_path: Path, runtime: InlineRuntime, store: CompactingMemory
) -> None:
    def life(encryption: str) -> tuple[Vault, int]:
        wish = msgspec.structs.replace(NAMESPACES["default"], encryption=encryption)
        vault = vault_of(tmp_path, store, {**NAMESPACES, "default": wish})
        return vault, resealed(store, vault, runtime).resealed

    vault, _ = life("on")
    keys = [record_key(at, name, b"k") for at in range(5) for name in ("default", "plain")]
    for key in keys:
        sealed(store, vault).write(key, record_of(key, b"1"))
    vault, count = life("off")
    assert count == 5
    vault, count = life("off")
    assert count == 0
    assert sealed(store, vault).get(keys[0]) == record_of(keys[0], b"1")
    assert store.get(keys[0]) is not None, "it is not encrypted"
    vault, count = life("on")
    assert count == 5
    assert store.get(keys[0]) is None
    assert [key for key, _ in sealed(store, vault).scan(b"d", b"e", 100)] == sorted(keys)


def test_a_resealing_that_was_cut_short_goes_on(
    tmp_path: Path, runtime: InlineRuntime, store: CompactingMemory
) -> None:
    wish = msgspec.structs.replace(NAMESPACES["default"], encryption="off")
    vault = vault_of(tmp_path, store, {**NAMESPACES, "default": wish})
    resealed(store, vault, runtime)
    keys = [record_key(at, "default", b"key") for at in range(10)]
    lying_open = sealed(store, vault)
    for key in keys[:6]:
        lying_open.write(key, record_of(key, b"1"))
    vault = vault_of(tmp_path, store)
    above = sealed(store, vault)
    for key in keys[5:]:  # one is sealed, and not yet deleted where it lies open
        above.write(key, record_of(key, b"1"))
    assert resealed(store, vault, runtime).resealed == 6
    assert store.compactions == 1, "what lay open must not stay in the files"
    assert above.scan(b"d", b"e", 100) == [(key, record_of(key, b"1")) for key in keys]
    assert len(store.scan(b"d", b"e", 100)) == 10


def test_what_a_removed_namespace_has_left_stays_sealed(
    tmp_path: Path, runtime: InlineRuntime, store: CompactingMemory
) -> None:
    vault = vault_of(tmp_path, store)
    resealed(store, vault, runtime)
    keys = [record_key(at, "default", b"key-%d" % at) for at in range(5)]
    for key in keys:
        sealed(store, vault).write(key, record_of(key, b'"secret"'))
    opened = msgspec.structs.replace(NAMESPACES["plain"], encryption="off")
    others = {"plain": opened, "open": NAMESPACES["open"]}
    vault = vault_of(tmp_path, store, others)
    resealed(store, vault, runtime)  # for the sake of another one
    assert not any(b"key-" in key + value for key, value in store.scan(*ALL, 100))
    back = vault_of(tmp_path, store)
    resealed(store, back, runtime)
    assert [key for key, _ in sealed(store, back).scan(b"d", b"e", 100)] == keys


@pytest.mark.parametrize("number", [FORMAT - 1, FORMAT + 1])
def test_another_format_is_refused(
    tmp_path: Path, runtime: InlineRuntime, store: CompactingMemory, number: int
) -> None:
    resealed(store, vault_of(tmp_path, store), runtime)
    store.write(NOTE, json.dumps({"format": number, "open": []}).encode())
    with pytest.raises(ConfigError, match=f"The data has format {number}"):
        resealed(store, vault_of(tmp_path, store), runtime)


def test_data_without_its_keyring_is_refused(
    tmp_path: Path, runtime: InlineRuntime, store: CompactingMemory
) -> None:
    resealed(store, vault_of(tmp_path, store), runtime)
    (tmp_path / "keys.json").unlink()
    with pytest.raises(ConfigError, match=r"keys\.json is missing\. Restore it"):
        vault_of(tmp_path, store)
    assert not (tmp_path / "keys.json").exists()


def test_another_master_key_is_refused_by_its_id(
    tmp_path: Path, store: CompactingMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = vault_of(tmp_path, store)
    monkeypatch.setenv("OTHER_KEY", "ab" * 32)
    with pytest.raises(ConfigError, match=first.keyring.master.id):
        Vault.open(tmp_path, store, "test", NAMESPACES, EnvironmentSource("OTHER_KEY"), NOW_MS)


def test_a_dictionary_is_trained_and_what_it_compressed_opens_after_restarts(
    tmp_path: Path, store: CompactingMemory
) -> None:
    vault = vault_of(tmp_path, store)
    above = sealed(store, vault)
    keys = [record_key(at, "default", b"session-%d" % at) for at in range(6000)]

    def session(at: int) -> bytes:
        return json.dumps(
            {"user": at * 7919 % 10007, "roles": ["reader"], "theme": "dark"}
        ).encode()

    for at, key in enumerate(keys):
        above.write(key, record_of(key, session(at)))
    job = vault.training_job(0.0)
    assert job is not None
    assert job.namespace == "default"
    vault.trained(job, job.run(), 1.0)
    assert vault.training_job(2.0) is None, "not again so soon"
    assert vault.dictionaries.ids("default") == [1]
    for at, key in enumerate(keys[:100]):
        above.write(key, record_of(key, session(at), 2))
    packed = store.get(vault.seal.stored_key(keys[0]))
    assert packed is not None
    assert packed[0] & (ENCRYPTED | COMPRESSED | WITH_DICTIONARY) == 7
    unpacked = store.get(vault.seal.stored_key(keys[200]))
    assert unpacked is not None
    assert len(packed) < 0.7 * len(unpacked)
    # Neither the dictionary nor anything else on disk shows a value.
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"roles" not in file.read_bytes()
    later = sealed(store, vault_of(tmp_path, store))
    assert later.get(keys[0]) == record_of(keys[0], session(0), 2)
    assert later.get(keys[200]) == record_of(keys[200], session(200))


def test_after_a_rotation_new_records_have_the_new_key_and_old_ones_still_open(
    tmp_path: Path, store: CompactingMemory
) -> None:
    vault = vault_of(tmp_path, store)
    above = sealed(store, vault)
    old, new = record_key(1, "default", b"old"), record_key(2, "default", b"new")
    above.write(old, record_of(old, b"1"))
    before = vault.keyring.active("default").id
    after = vault.rotate("default", NOW_MS)
    above.write(new, record_of(new, b"2"))
    ids = [int.from_bytes(value[1:3]) for _, value in store.scan(b"d", b"e", 10)]
    assert ids == [before, after]
    later = sealed(store, vault_of(tmp_path, store))
    assert later.get(old) == record_of(old, b"1")
    assert later.get(new) == record_of(new, b"2")

"""An entry opens to what was written, or says that it does not; and never outlives its keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.journal_disks import StoreDouble
from kit.journals import CLUSTER, HINTS, MARKS, RECORDS, value_for
from kit.vaults import NAMESPACES, NOW_MS, note_key, record_key, vault_of

from kvorum.journal.entries import OpenEntries, SealedEntries
from kvorum.journal.memtable import Change
from kvorum.model.errors import CorruptRecord
from kvorum.sealing.seal import namespace_of
from kvorum.sealing.vault import Vault

NUMBER = 7

changes = st.builds(
    lambda key, number: (key, None if number is None else value_for(key, number)),
    st.sampled_from(RECORDS + HINTS + MARKS),
    st.none() | st.integers(0, 99),
)
writes = st.lists(changes, min_size=1, max_size=20)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return vault_of(tmp_path, StoreDouble())


def entries_of(vault: Vault, cluster: str = CLUSTER) -> SealedEntries:
    return SealedEntries(vault.seal, cluster)


def written_to(namespace: str, name: bytes = b"name-in-the-clear") -> list[Change]:
    """One of each kind of write: a record, a hint, and a deletion."""
    record = record_key(5, namespace, name)
    hint = note_key("n2", record)
    gone = record_key(6, namespace, name)
    return [(record, value_for(record, 1)), (hint, value_for(hint, 2)), (gone, None)]


def sections(entry: bytes) -> list[tuple[int, bytes]]:
    """(id of the data key, section) of each; 0 where it lies open."""
    found = []
    while entry:
        header = 3 if entry[0] & 1 else 1
        size = header + 4 + int.from_bytes(entry[header : header + 4])
        found.append((int.from_bytes(entry[1:header]), entry[:size]))
        entry = entry[size:]
    return found


@given(writes)
def test_open_entries_are_what_was_written(written: list[Change]) -> None:
    entries = OpenEntries()
    assert entries.open(NUMBER, entries.seal(NUMBER, written)) == written


@given(writes)
def test_of_each_key_an_entry_has_all_writes_in_their_order(
    vault_directory: Path, written: list[Change]
) -> None:
    entries = entries_of(vault_of(vault_directory, StoreDouble()))
    opened = entries.open(NUMBER, entries.seal(NUMBER, written))
    assert len(opened) == len(written)
    for key in dict(written):
        assert [c for c in opened if c[0] == key] == [c for c in written if c[0] == key]


def test_an_entry_has_a_section_for_each_encrypted_namespace_and_one_for_the_rest(
    vault: Vault,
) -> None:
    default, plain = vault.keyring.active("default").id, vault.keyring.active("plain").id
    shares = [written_to(name) for name in ("open", "default", "plain", "default", "open")]
    entry = entries_of(vault).seal(NUMBER, [write for share in shares for write in share])
    assert sorted(key_id for key_id, _ in sections(entry)) == sorted([0, default, plain])
    for key_id, section in sections(entry):
        found = {namespace_of(key).decode() for key, _ in entries_of(vault).open(NUMBER, section)}
        assert found == {{0: "open", default: "default", plain: "plain"}[key_id]}
        if key_id:
            assert b"name-in-the-clear" not in section


@pytest.mark.parametrize("namespace", ["default", "open"])
def test_an_entry_opens_under_its_own_number_in_its_own_cluster(
    vault: Vault, namespace: str
) -> None:
    entries = entries_of(vault)
    entry = entries.seal(NUMBER, written_to(namespace))
    assert entries.open(NUMBER, entry) == written_to(namespace)
    for elsewhere in (6, 8, 7 << 8):
        with pytest.raises(CorruptRecord, match="An entry of the journal is damaged"):
            entries.open(elsewhere, entry)
    with pytest.raises(CorruptRecord):
        entries_of(vault, "another").open(NUMBER, entry)


def test_notes_of_the_stores_own_lie_open_and_are_checked(vault: Vault) -> None:
    entries = entries_of(vault)
    marks: list[Change] = [(MARKS[0], b"marked"), (MARKS[2], b""), (MARKS[1], None)]
    entry = entries.seal(NUMBER, [*written_to("default"), *marks, *written_to("open")])
    by_key = dict(sections(entry))
    assert sorted(by_key) == [0, vault.keyring.active("default").id]
    assert entries.open(NUMBER, by_key[0]) == [*marks, *written_to("open")]
    assert b"marked" in by_key[0]
    with pytest.raises(CorruptRecord):
        entries.open(NUMBER, entry.replace(b"marked", b"narked"))


def test_an_entry_of_nothing_is_not_empty(vault: Vault) -> None:
    """What was gathered may have been shredded since, and the log takes no empty entries."""
    entries = entries_of(vault)
    entry = entries.seal(NUMBER, [])
    assert entry
    assert entries.open(NUMBER, entry) == []


def test_a_section_does_not_open_under_another_namespaces_key(vault: Vault) -> None:
    entries = entries_of(vault)
    entry = entries.seal(NUMBER, written_to("default"))
    other = vault.keyring.active("plain").id.to_bytes(2)
    with pytest.raises(CorruptRecord):
        entries.open(NUMBER, entry[:1] + other + entry[3:])


@pytest.mark.parametrize(
    "namespaces", [("default",), ("open",), ("default", "plain"), ("default", "open")]
)
def test_an_entry_with_any_flipped_bit_is_damaged(
    vault: Vault, namespaces: tuple[str, ...]
) -> None:
    entries = entries_of(vault)
    entry = entries.seal(NUMBER, [write for name in namespaces for write in written_to(name)])
    for bit in range(len(entry) * 8):
        damaged = bytearray(entry)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptRecord):
            entries.open(NUMBER, bytes(damaged))


@pytest.mark.parametrize("namespace", ["default", "open"])
def test_an_entry_cut_short_is_damaged(vault: Vault, namespace: str) -> None:
    entries = entries_of(vault)
    entry = entries.seal(NUMBER, written_to(namespace))
    for size in range(len(entry)):
        with pytest.raises(CorruptRecord):
            entries.open(NUMBER, entry[:size])
    with pytest.raises(CorruptRecord):
        entries.open(NUMBER, entry + b"\0")


@pytest.mark.parametrize("namespace", ["default", "open"])
def test_a_record_that_was_damaged_before_it_was_sealed_is_found(
    vault: Vault, namespace: str
) -> None:
    entries = entries_of(vault)
    key = record_key(5, namespace, b"name")
    sound = value_for(key, 1)
    entry = entries.seal(NUMBER, [(key, sound[:-1] + bytes([sound[-1] ^ 1]))])
    with pytest.raises(CorruptRecord, match="a record in it fails its check"):
        entries.open(NUMBER, entry)


def test_an_open_entry_without_a_header_is_whole_or_damaged() -> None:
    entries = OpenEntries()
    with pytest.raises(CorruptRecord):
        entries.open(NUMBER, entries.seal(NUMBER, written_to("default"))[:-1])
    with pytest.raises(CorruptRecord):
        entries.open(NUMBER, b"nonsense")


def test_what_was_written_under_a_shredded_key_is_gone_and_nothing_else(vault: Vault) -> None:
    entries = entries_of(vault)
    names = ("default", "open", "plain")
    entry = entries.seal(NUMBER, [write for name in names for write in written_to(name)])
    vault.shred("default", NOW_MS)
    left = {namespace_of(key).decode() for key, _ in entries.open(NUMBER, entry)}
    assert left == {"open", "plain"}
    assert entries.open(NUMBER, entries.seal(NUMBER, written_to("default"))) == written_to(
        "default"
    )


def test_an_entry_of_nothing_but_a_shredded_key_is_no_damage(vault: Vault) -> None:
    entries = entries_of(vault)
    entry = entries.seal(NUMBER, written_to("default"))
    vault.shred("default", NOW_MS)
    assert entries.open(NUMBER, entry) == []


def test_a_key_that_is_in_no_keyring_is_damage(vault: Vault, tmp_path: Path) -> None:
    entry = entries_of(vault).seal(NUMBER, written_to("default"))
    unknown = (999).to_bytes(2)
    with pytest.raises(CorruptRecord, match="999, which is not in the keyring"):
        entries_of(vault).open(NUMBER, entry[:1] + unknown + entry[3:])


def test_after_a_rotation_old_entries_open_and_new_ones_take_the_new_key(vault: Vault) -> None:
    entries = entries_of(vault)
    old = entries.seal(NUMBER, written_to("default"))
    key_id = vault.rotate("default", NOW_MS)
    new = entries.seal(NUMBER, written_to("default"))
    assert entries.open(NUMBER, old) == entries.open(NUMBER, new) == written_to("default")
    assert (
        [found for found, _ in sections(new)] == [key_id] != [found for found, _ in sections(old)]
    )


def test_entries_open_whatever_has_become_of_a_namespaces_encryption(
    vault: Vault, tmp_path: Path
) -> None:
    written = written_to("default") + written_to("open")
    entry = entries_of(vault).seal(NUMBER, written)
    swapped = {**NAMESPACES, "default": NAMESPACES["open"], "open": NAMESPACES["default"]}
    later = vault_of(tmp_path, StoreDouble(), swapped)
    assert sorted(map(repr, entries_of(later).open(NUMBER, entry))) == sorted(map(repr, written))


def test_a_large_entry_is_what_was_written(vault: Vault) -> None:
    written: list[Change] = []
    for number in range(300):
        key = record_key(number, "default", b"k" * 1024)
        written.append((key, value_for(key, number, 5000)))
    entries = entries_of(vault)
    assert entries.open(NUMBER, entries.seal(NUMBER, written)) == written

"""The local store under other settings than those it was written under, and of other formats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from kit.store_lives import (
    NAMESPACES,
    NOW_MS,
    Life,
    Pairs,
    files_with,
    hint_key,
    life,
    record_key,
    record_of,
    settings,
)

from kvorum.journal.former_entries import END, START
from kvorum.journal.memtable import Change
from kvorum.model.topology import NamespaceSettings
from kvorum.sealing.seal import namespace_of
from kvorum.sealing.vault import FORMAT, NOTE
from kvorum.storage.identity import decode, encode

COUNT: Final = 100
WORDS: Final = (b"secret-name", b"secret-value")


def key_of(number: int, namespace: str) -> bytes:
    return record_key(number << 55, namespace, f"secret-name {number}")


def fill(one: Life) -> None:
    """Records and hints of all namespaces: flushed, unflushed, overwritten and deleted ones."""
    for namespace in NAMESPACES:
        for number in range(COUNT):
            one.put(key_of(number, namespace), f'"secret-value {number}"')
            one.put(hint_key(key_of(number, namespace)), f"{number}")
    one.flushed()
    for namespace in NAMESPACES:
        for number in range(50, COUNT + 50):
            one.put(key_of(number, namespace), f'"secret-value {number} newer"')
            one.put(hint_key(key_of(number, namespace), "n3"), f"{number}")
            if number % 20 == 0:
                one.turn()
        for number in range(25, 75):
            one.delete(key_of(number, namespace))
            one.delete(hint_key(key_of(number, namespace)))
    one.turn()
    assert one.entries()


def with_default(**changes: Any) -> dict[str, Any]:
    return {**NAMESPACES, "default": settings(**changes)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"encryption": "on"}, {"encryption": "off"}),
        ({"encryption": "off"}, {"encryption": "on"}),
        ({"compression": "zstd"}, {"compression": "off"}),
        ({"compression": "off"}, {"compression": "zstd"}),
        ({"dictionary": True}, {"dictionary": False}),
        ({"encryption": "off"}, {"compression": "off"}),
    ],
)
def test_other_settings_change_nothing_that_is_seen(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    with life(tmp_path / "n1", with_default(**before)) as one:
        fill(one)
        crashed = one.crash(tmp_path / "crashed")
    for path in (one.path, crashed):
        for changes in (after, before, after):
            with life(path, with_default(**changes)) as again:
                assert again.contents() == one.wanted
        with life(path, with_default(**after)) as again:
            again.flushed()
            assert again.contents() == one.wanted


def test_after_encryption_was_turned_on_no_file_shows_a_key_or_a_value(tmp_path: Path) -> None:
    opened = {name: settings(encryption="off") for name in NAMESPACES}
    sealed = {name: settings() for name in NAMESPACES}
    with life(tmp_path, opened) as one:
        fill(one)
    assert files_with(tmp_path, WORDS)
    with life(tmp_path, sealed) as again:
        assert again.entries() == []
        assert again.contents() == one.wanted
    assert_sealed(tmp_path, sealed)


def assert_sealed(path: Path, namespaces: dict[str, NamespaceSettings]) -> None:
    """The engine's list of files names the first and last key of each file there was. It is
    written anew with each start.
    """
    shown = files_with(path, WORDS)
    assert all(name.startswith("rocks/MANIFEST-") for name in shown)
    assert files_with(path, (b"secret-value",)) == []
    with life(path, namespaces):
        assert files_with(path, WORDS) == []


def test_after_encryption_was_turned_off_what_is_stored_lies_open(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        fill(one)
    with life(tmp_path, with_default(encryption="off")) as again:
        assert again.contents() == one.wanted
        open_keys = {key for key in one.wanted if namespace_of(key) in (b"default", b"open")}
        assert open_keys <= again.stored().keys()


@pytest.mark.parametrize("removed", ["plain", "open"])
def test_a_removed_namespace_comes_back_with_all_it_had(tmp_path: Path, removed: str) -> None:
    with life(tmp_path) as one:
        fill(one)
    others = {name: wish for name, wish in NAMESPACES.items() if name != removed}
    with life(tmp_path, others) as without:
        without.flushed()
        stored = without.stored()
        assert not any(removed.encode() + b"\0secret-name" in key for key in stored)
        assert of(without.contents(), *others) == of(one.wanted, *others)
    with life(tmp_path) as back:
        assert back.contents() == one.wanted


def test_what_a_removed_namespace_has_in_the_journal_is_not_written_in_the_open(
    tmp_path: Path,
) -> None:
    sealed = {"default": settings(), "plain": settings()}
    with life(tmp_path, sealed) as one:
        for number in range(COUNT):
            one.put(key_of(number, "plain"), f'"secret-value {number}"')
            one.put(hint_key(key_of(number, "plain")), f"{number}")
    # Another namespace makes all pairs be looked at.
    for others in ({"default": settings()}, {"default": settings(encryption="off")}):
        with life(tmp_path, others) as without:
            without.flushed()
        assert files_with(tmp_path, WORDS) == []
    with life(tmp_path, sealed) as back:
        assert back.contents() == one.wanted


def of(pairs: Pairs, *namespaces: str) -> Pairs:
    names = [name.encode() for name in namespaces]
    return {key: data for key, data in pairs.items() if namespace_of(key) in names}


# Formats


def format_of(one: Life) -> int:
    note = one.parts.rocks.get(NOTE)
    assert note is not None
    found: int = json.loads(note)["format"]
    return found


def test_a_directory_of_the_format_without_a_journal_is_taken_over(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        fill(one)
        one.flushed()
        note = {"format": 2, "open": ["open"]}
        one.parts.rocks.put(NOTE, json.dumps(note).encode(), one._done, None)
    for _ in range(2):
        with life(tmp_path) as again:
            assert format_of(again) == FORMAT == 4
            assert again.contents() == one.wanted


def test_a_directory_of_the_format_without_a_journal_may_change_its_settings(
    tmp_path: Path,
) -> None:
    with life(tmp_path) as one:
        fill(one)
        one.flushed()
        note = {"format": 2, "open": ["open"]}
        one.parts.rocks.put(NOTE, json.dumps(note).encode(), one._done, None)
    with life(tmp_path, {name: settings() for name in NAMESPACES}) as again:
        assert format_of(again) == 4
        assert again.contents() == one.wanted
    assert_sealed(tmp_path, {name: settings() for name in NAMESPACES})


@pytest.mark.parametrize("namespaces", [NAMESPACES, {name: settings() for name in NAMESPACES}])
def test_a_directory_whose_journal_lay_among_the_pairs_is_taken_over(
    tmp_path: Path, namespaces: dict[str, NamespaceSettings]
) -> None:
    """That of format 3; also where its settings change with that."""
    with life(tmp_path) as one:
        fill(one)
        one.flushed()
        for entry in range(1, 4):
            changes = [newer(one, number, entry) for number in range(20 * entry, 20 * entry + 30)]
            text = one.parts._entries.seal(entry, changes)
            one.parts.rocks.put(START + entry.to_bytes(8), text, one._done, None)
        note = {"format": 3, "open": ["open"]}
        one.parts.rocks.put(NOTE, json.dumps(note).encode(), one._done, None)
    shutil.rmtree(tmp_path / "journal")
    node = tmp_path / "node.json"
    node.write_bytes(encode(msgspec.structs.replace(decode(node.read_bytes()), journaled=False)))
    for _ in range(2):
        with life(tmp_path, namespaces) as again:
            assert format_of(again) == 4
            assert again.contents() == one.wanted
            assert again.parts.rocks.scan(START, END, 10) == []
            assert not again.parts.directory.forgot


def newer(one: Life, number: int, entry: int) -> Change:
    key = key_of(number, ("default", "plain", "open")[number % 3])
    if number % 5 == 0:
        one.wanted.pop(key, None)
        return key, None
    one.wanted[key] = record_of(key, f'"secret-value {entry}"', NOW_MS + entry)
    return key, one.wanted[key]


def test_a_directory_of_the_first_format_is_sealed(tmp_path: Path) -> None:
    wanted: Pairs = {}
    with life(tmp_path) as first:
        for number in range(COUNT):
            key = key_of(number, ("default", "plain")[number % 2])
            wanted |= {key: record_of(key, '"secret-value"', NOW_MS), hint_key(key): bytes(16)}
        for key, data in wanted.items():
            first.parts.rocks.put(key, data, first._done, None)
        first.parts.rocks.delete(NOTE, first._done, None)
    (tmp_path / "keys.json").unlink()
    assert files_with(tmp_path, WORDS)
    with life(tmp_path) as one:
        assert format_of(one) == 4
        assert one.contents() == wanted
        key = key_of(COUNT, "default")
        one.wanted = wanted
        one.put(key, '"secret-value"')
    with life(tmp_path) as again:
        assert again.contents() == one.wanted
    assert files_with(tmp_path, WORDS) == []

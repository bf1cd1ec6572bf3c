"""The local store under other settings than those it was written under, and of other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from kit.store_lives import (
    NAMESPACES,
    Life,
    Pairs,
    files_with,
    hint_key,
    life,
    record_key,
    settings,
)

from kvorum.model.topology import NamespaceSettings
from kvorum.sealing.seal import namespace_of

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

"""The local store's keys: what is rotated out or shredded holds for unflushed records, too."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from kit.store_lives import TICK_S, Life, Pairs, files_with, hint_key, life, record_key

from kvorum.sealing.compression import learn
from kvorum.sealing.seal import namespace_of
from kvorum.sealing.vault import TrainingJob

NAMES: Final = ("default", "plain", "open")
COUNT: Final = 300


def key_of(number: int, namespace: str | None = None) -> bytes:
    name = namespace or NAMES[number % 3]
    return record_key(number * 0x9E3779B97F4A7C15 % (1 << 64), name, f"k{number}")


def fill(one: Life, value: str = "value", first: int = 0) -> None:
    """Ten entries, each with records and hints of all namespaces."""
    for number in range(first, first + COUNT):
        one.put(key_of(number), f'"{value} {number}"')
        one.put(hint_key(key_of(number)), f"{number}")
        if number % (COUNT // 10) == 0:
            one.turn()
    one.turn()


def without(pairs: Pairs, namespace: str) -> Pairs:
    return {key: data for key, data in pairs.items() if namespace_of(key) != namespace.encode()}


def key_ids(one: Life) -> set[int]:
    return {key.id for key in one.parts.vault.keyring.describe()}


def active_id(one: Life, namespace: str) -> int:
    return one.parts.vault.keyring.active(namespace).id


# Rotation


def test_an_old_key_stays_until_no_entry_needs_it(tmp_path: Path) -> None:
    with life(tmp_path / "n1") as one:
        one.tend()
        fill(one)
        written = one.entries()
        old = active_id(one, "default")
        one.key_admin.rotate("default")
        fill(one, "newer", 200)
        crashes = 0
        while old in key_ids(one):
            one.tick()
            if old in key_ids(one) and crashes < 5:
                crashed = one.crash(tmp_path / f"crashed{crashes}")
                crashes += 1
                with life(crashed) as again:
                    assert again.contents() == one.wanted
        assert not set(one.entries()) & set(written)
        assert one.contents() == one.wanted
        crashed = one.crash(tmp_path / "crashed after")
    for path in (crashed, one.path):
        with life(path) as again:
            assert old not in key_ids(again)
            assert again.contents() == one.wanted


def test_a_rotation_goes_on_where_entries_of_the_old_key_are_taken_up(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        one.tend()
        fill(one)
        old = active_id(one, "plain")
        one.key_admin.rotate("plain")
    with life(tmp_path) as again:
        assert old in key_ids(again)
        assert again.entries()
        again.tend()
        again.wait(lambda: old not in key_ids(again))
        assert again.entries() == []
        assert again.contents() == one.wanted
    with life(tmp_path) as third:
        assert third.contents() == one.wanted


def test_while_the_disk_is_full_the_old_key_stays(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        one.tend()
        old = active_id(one, "default")
        fill(one)
        one.parts.directory.space.full = True
        one.parts.directory.space._free_bytes = lambda _path: 0
        one.key_admin.rotate("default")
        for _ in range(400):
            one.tick()
        assert old in key_ids(one)
        assert one.contents() == one.wanted
        one.parts.directory.space._free_bytes = lambda _path: 1 << 40
        one.wait(lambda: old not in key_ids(one))
        assert one.contents() == one.wanted


def test_an_older_dictionary_goes_and_all_is_readable(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        one.tend()
        older = learned(one, b"made")
        fill(one)
        one.flushed()
        fill(one, "unflushed", 100)
        newer = learned(one, b"value")
        one.key_admin.scrub()
        one.scrubbed()
        assert one.parts.vault.dictionaries.ids("default") == [newer] != [older]
        assert one.contents() == one.wanted
        fill(one, "after", 200)
    with life(tmp_path) as again:
        assert again.contents() == one.wanted


def learned(one: Life, word: bytes) -> int:
    chance = random.Random(1)
    samples = [b"name%d %b %b" % (n, word, chance.randbytes(4).hex().encode()) for n in range(5000)]
    dictionary = learn(samples, 4096, 3)
    one.parts.vault.trained(
        TrainingJob("default", [], 1, None, one.parts.vault.seal.namespaces[b"default"]),
        dictionary,
        0.0,
    )
    current = one.parts.vault.dictionaries.current("default")
    assert current is not None
    return current.id


# Shredding


def all_unflushed(one: Life) -> None:
    fill(one)


def all_flushed_and_overwritten(one: Life) -> None:
    fill(one)
    one.flushed()
    fill(one, "newer")


def half_flushed(one: Life) -> None:
    fill(one)
    before = one.stored()
    one.wait(lambda: one.stored() != before)
    assert one.entries(), "it has only begun"
    fill(one, "newer", 150)


def some_gathered(one: Life) -> None:
    fill(one)
    for number in range(250, COUNT + 30):
        one.put(key_of(number), '"gathered"')
        one.put(hint_key(key_of(number), "n3"), "gathered")


def none_but_gathered(one: Life) -> None:
    for number in range(30):
        one.put(key_of(number, "default"), '"gathered"')
        one.put(hint_key(key_of(number, "default")), "gathered")


SITUATIONS: Final = (
    all_unflushed,
    all_flushed_and_overwritten,
    half_flushed,
    some_gathered,
    none_but_gathered,
)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_is_shredded_is_gone_at_once_and_for_good(
    tmp_path: Path, situation: Callable[[Life], None]
) -> None:
    with life(tmp_path / "n1") as one:
        one.tend()
        situation(one)
        one.key_admin.shred("default", None)
        left = without(one.wanted, "default")
        assert one.contents() == left
        at_once = one.crash(tmp_path / "at once")
        one.turn()
        assert one.contents() == left
        a_turn_later = one.crash(tmp_path / "a turn later")
    for path in (a_turn_later, one.path):
        with life(path) as again:
            assert again.contents() == left
            again.tend()
            again.scrubbed()
            assert again.contents() == left
    with life(at_once) as again:
        # What was gathered is no entry yet: it was not acknowledged.
        assert again.contents().keys() <= left.keys()
        assert not any(namespace_of(key) == b"default" for key in again.contents())


def body_of(one: Life, entry: int) -> bytes:
    """Some bytes of it as they are on the disk."""
    path, at, _ = one.place_of(entry)
    return path.read_bytes()[at + 20 : at + 60]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_pass_that_follows_a_shredding_leaves_nothing_of_it(
    tmp_path: Path, situation: Callable[[Life], None]
) -> None:
    with life(tmp_path) as one:
        one.tend()
        situation(one)
        one.turn()
        pseudonyms = tuple(
            one.parts.vault.seal.stored_key(key)
            for key in one.wanted
            if namespace_of(key) == b"default"
        )
        entries = one.entries()
        bodies = tuple(body_of(one, entry) for entry in entries)
        assert bodies
        assert files_with(tmp_path, bodies)
        one.key_admin.shred("default", None)
        left = without(one.wanted, "default")
        one.scrubbed()
        assert not set(one.entries()) & set(entries)
        stored = one.stored()
        assert not any(key in stored for key in pseudonyms)
        assert one.contents() == left
        assert files_with(tmp_path, bodies) == []


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_is_written_after_a_shredding_stays(
    tmp_path: Path, situation: Callable[[Life], None]
) -> None:
    with life(tmp_path / "n1") as one:
        one.tend()
        situation(one)
        one.key_admin.shred("default", None)
        one.wanted = without(one.wanted, "default")
        one.clock.passed_s += TICK_S
        for number in range(100, 200):
            one.put(key_of(number, "default"), '"after"')
            one.put(hint_key(key_of(number, "default")), "after")
        assert one.contents() == one.wanted
        one.turn()
        crashed = one.crash(tmp_path / "crashed")
        one.scrubbed()
        assert one.contents() == one.wanted
    for path in (crashed, one.path):
        with life(path) as again:
            again.tend()
            again.scrubbed()
            assert again.contents() == one.wanted
            again.flushed()
            assert again.contents() == one.wanted

"""The local store: what was acknowledged outlives the process, flushed or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.store_lives import Life, Pairs, hint_key, life, record_key

NAMES = ("default", "plain", "open")


def key_of(number: int) -> bytes:
    """All over the token space, in all namespaces."""
    return record_key(number * 0x9E3779B97F4A7C15 % (1 << 64), NAMES[number % 3], f"k{number}")


def fill(one: Life) -> Pairs:
    """Writes, overwrites and deletes, of which some are flushed and the later ones are not.

    Returns what there is to be seen.
    """
    for number in range(300):
        one.put(key_of(number), f'"first {number}"')
        one.put(hint_key(key_of(number)), f"{number}")
    one.flushed()
    for number in range(100, 200):
        one.put(key_of(number), f'"second {number}"')
        one.put(hint_key(key_of(number), "n3"), f"{number}")
        one.turn()
    for number in range(150, 250):
        one.delete(key_of(number))
        one.delete(hint_key(key_of(number)))
    one.turn()
    for number in range(180, 400):
        one.put(key_of(number), f'"third {number}"')
    one.turn()
    assert len(one.entries()) > 100
    return one.wanted


def test_what_is_written_is_seen_at_once_and_scanned_in_order(tmp_path: Path) -> None:
    with life(tmp_path / "n1") as one:
        wanted = fill(one)
        assert one.contents() == wanted
        assert one.contents(limit=7) == wanted
        one.flushed()
        assert one.contents() == wanted


def test_a_stop_files_nothing_and_loses_nothing(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        wanted = fill(one)
        entries = one.entries()
        one.put(key_of(1000))  # gathered, not yet an entry
    for _ in range(2):
        with life(tmp_path) as one:
            assert not one.parts.directory.crashed
            assert one.entries()[:-1] == entries
            assert one.contents() == wanted
            assert one.contents(limit=7) == wanted
    with life(tmp_path) as one:
        one.flushed()
        assert one.contents() == wanted
    with life(tmp_path) as one:
        assert one.contents() == wanted


def test_without_close_the_next_life_has_all_the_same(tmp_path: Path) -> None:
    one = Life(tmp_path)
    wanted = fill(one)
    one.parts.release()
    with life(tmp_path) as again:
        assert again.parts.directory.crashed
        assert again.contents() == wanted


def test_a_crash_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with life(tmp_path / "n1") as one:
        wanted = fill(one)
        assert one.acknowledged > len(wanted)
        crashed = one.crash(tmp_path / "crashed")
    with life(crashed) as again:
        assert again.contents() == wanted
        again.flushed()
        assert again.contents() == wanted


def test_a_crash_while_a_segment_is_flushed_loses_nothing(tmp_path: Path) -> None:
    with life(tmp_path / "n1") as one:
        wanted = fill(one)
        copies: list[Path] = []
        last = one.stored()
        while one.entries():
            one.tick()
            if one.stored() != last:
                last = one.stored()
                copies.append(one.crash(tmp_path / f"crashed{len(copies)}"))
    assert len(copies) > 3
    for copy in copies:
        with life(copy) as again:
            assert again.contents() == wanted


def test_writes_after_a_crash_are_newer_than_what_was_taken_up(tmp_path: Path) -> None:
    with life(tmp_path / "n1") as one:
        fill(one)
        crashed = one.crash(tmp_path / "crashed")
    with life(crashed) as again:
        again.wanted = one.wanted
        for number in range(90, 190):
            again.put(key_of(number), '"after"')
        again.turn()
        for number in range(300, 320):
            again.delete(key_of(number))
        crashed = again.crash(tmp_path / "crashed again")
        again.flushed()
        assert again.contents() == again.wanted
    with life(crashed) as third:
        # The last deletes were not acknowledged, and may be lost; nothing else.
        for number in range(300, 320):
            third.delete(key_of(number))
        assert third.contents() == again.wanted


@pytest.mark.parametrize("size", [10, 5000])
def test_segments_that_are_full_are_flushed_while_writes_go_on(tmp_path: Path, size: int) -> None:
    with life(tmp_path / "n1") as one:
        count = 0
        oldest = None
        while oldest is None or oldest in one.entries():
            for _ in range(100):
                one.put(key_of(count), '"%s"' % ("x" * size))
                count += 1
            one.turn()
            oldest = oldest or one.entries()[0]
        assert one.clock.passed_s < 1, "no timer has done it"
        crashed = one.crash(tmp_path / "crashed")
    with life(crashed) as again:
        assert again.contents() == one.wanted

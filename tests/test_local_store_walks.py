"""The local store through many lives: whatever is done to it, it shows what it was given."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
from kit.store_lives import MANY, NAMESPACES, TICK_S, Life, hint_key, record_key, settings

from kvorum.journal.segment import SegmentLimits
from kvorum.sealing.seal import namespace_of

STEPS: Final = 250
RECORDS: Final = [
    record_key(token << 52, namespace, name)
    for token in range(30)
    for namespace in NAMESPACES
    for name in ("a", "b")
]
KEYS: Final = RECORDS + [hint_key(key, node) for key in RECORDS[:60] for node in ("n2", "n10")]


class Walk:
    """Random steps through the lives of one data directory."""

    def __init__(self, root: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.root = root
        self.namespaces = dict(NAMESPACES)
        self.lives = 0
        self.written = 0
        self.one = Life(root / "0")
        self.one.tend()

    def put(self) -> None:
        for key in self.chance.sample(KEYS, self.chance.choice([1, 1, 5, 40])):
            self.written += 1
            self.one.put(key, f'"{self.written}"')

    def delete(self) -> None:
        for key in self.chance.sample(KEYS, self.chance.choice([1, 5])):
            self.one.delete(key)

    def turn(self) -> None:
        self.one.turn()

    def tick(self) -> None:
        for _ in range(self.chance.choice([1, 1, 1, 20])):
            self.one.tick()

    def look(self) -> None:
        assert self.one.contents(self.chance.choice([3, 17, MANY])) == self.one.wanted

    def rotate(self) -> None:
        self.one.key_admin.rotate(None)

    def shred(self) -> None:
        encrypted = self.one.parts.vault.encrypted
        if encrypted:
            shredded = self.chance.choice(encrypted)
            self.one.key_admin.shred(shredded, None)
            self.one.wanted = {
                key: data
                for key, data in self.one.wanted.items()
                if namespace_of(key) != shredded.encode()
            }
            self.one.clock.passed_s += TICK_S

    def change(self) -> None:
        """As the other settings say from the next life on."""
        self.namespaces[self.chance.choice(list(NAMESPACES))] = settings(
            encryption=self.chance.choice(["on", "off"]),
            compression=self.chance.choice(["zstd", "off"]),
        )

    def stop(self) -> None:
        self.one.stop()
        self.live_on(self.one.path)

    def crash(self) -> None:
        self.one.turn()
        self.lives += 1
        crashed = self.one.crash(self.root / str(self.lives))
        self.one.parts.release()
        self.live_on(crashed)

    def live_on(self, path: Path) -> None:
        last = self.one
        self.one = Life(path, self.namespaces, began_s=last.clock.passed_s)
        self.one.tend()
        self.one.wanted = last.wanted
        self.look()

    def end(self) -> None:
        self.one.scrubbed()
        self.one.flushed()
        self.look()
        self.one.stop()


STEPS_OF: Final[Sequence[Callable[[Walk], None]]] = (
    [Walk.put] * 30
    + [Walk.delete] * 8
    + [Walk.turn] * 15
    + [Walk.tick] * 15
    + [Walk.look] * 3
    + [Walk.rotate, Walk.shred, Walk.change]
    + [Walk.stop] * 2
    + [Walk.crash] * 3
)


@pytest.mark.parametrize("segment", [3000, 20_000, 1 << 20])
@pytest.mark.parametrize("seed", range(2))
def test_a_random_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, segment: int
) -> None:
    """With segments that are closed after a few writes, after many, and for their age."""
    limits = SegmentLimits(segment, segment, age_s=1.0)
    monkeypatch.setattr(SegmentLimits, "within", lambda _budget, _directory: limits)
    walk = Walk(tmp_path, seed)
    try:
        for _ in range(STEPS):
            walk.chance.choice(STEPS_OF)(walk)
        walk.end()
    finally:
        walk.one.parts.release()

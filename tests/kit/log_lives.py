"""A log with small files, what it was told, and what must be left of that."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kvorum.storage.log_file
import kvorum.storage.log_rotation
from kit.runtime import Pump
from kvorum.model.errors import StorageError
from kvorum.storage.log_files import LogFiles
from kvorum.storage.syncer import AdaptiveSyncer, InlineSyncer, NoSyncer, Syncer, ThreadSyncer

BLOCK = 4096
FILE_BLOCKS = 5

SYNCERS: dict[str, Callable[[Pump], Syncer]] = {
    "inline": lambda pump: InlineSyncer(pump.call_soon),
    "thread": lambda pump: ThreadSyncer(pump, pump.call_threadsafe),
    "adaptive": lambda pump: AdaptiveSyncer(pump, pump.call_threadsafe),
    "none": lambda pump: NoSyncer(pump.call_soon),
}


@contextmanager
def small_files() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kvorum.storage.log_rotation, "FILE_BYTES", FILE_BLOCKS * BLOCK)
        patch.setattr(kvorum.storage.log_file, "_BUFFER_BYTES", 2 * BLOCK)
        yield


def text_of(seed: int, blocks: int = 1) -> bytes:
    """Fills `blocks` blocks, with the entry's header."""
    return random.Random(seed).randbytes(blocks * BLOCK - 40)


class Told:
    """What a log was told: by it one can judge what is left after a crash at this moment."""

    def __init__(self) -> None:
        self.texts: dict[int, bytes] = {}
        self.acked = 0
        self.release_asked = 0
        self.release_acked = 0

    def copy(self) -> Told:
        copy = Told()
        copy.__dict__.update(self.__dict__)
        copy.texts = dict(self.texts)
        return copy

    def judge(self, log: LogFiles) -> None:
        """Raises AssertionError if `log` lacks what it must have, or has what it must not."""
        assert log.wrong is None
        assert log.last >= self.acked
        left = list(log.entries())
        numbers = [number for number, _ in left]
        for number, text in left:
            assert self.texts[number] == text
        due = [n for n in self.texts if self.release_asked < n <= self.acked]
        assert set(due) <= set(numbers)
        assert all(number > self.release_acked for number in numbers)
        assert numbers == [n for n in sorted(self.texts) if numbers and numbers[0] <= n <= log.last]


class Life:
    """One opening of a log. What it does is noted down in `told`."""

    def __init__(self, directory: Path, told: Told | None = None, syncer: str = "inline") -> None:
        self.directory = directory
        self.told = told or Told()
        self.pump = Pump()
        self.failures: list[StorageError] = []
        self.heard: list[tuple[Any, StorageError | None]] = []
        self.log = LogFiles.open(
            directory, self.pump, SYNCERS[syncer](self.pump), self.failures.append
        )

    def append(self, text: bytes) -> int:
        heard = len(self.heard)
        self.told.texts[self.log.last + 1] = text
        number = self.log.append(text, self._appended, self.log.last + 1)
        assert self.told.texts[number] is text
        assert len(self.heard) == heard, "answered inside append"
        return number

    def release(self, number: int) -> None:
        heard = len(self.heard)
        told = self.told
        told.release_asked = max(told.release_asked, number)
        self.log.release(number, self._released, (self.log.last + 1, number))
        assert len(self.heard) == heard, "answered inside release"

    def settle(self) -> None:
        """Until all is answered."""
        wanted = self.log.last
        self.pump.run_until(lambda: self.told.acked >= wanted or bool(self.failures))

    def close(self) -> None:
        self.log.close()
        self.pump.drain()

    def _appended(self, number: int, error: StorageError | None) -> None:
        self.heard.append((number, error))
        if error is None:
            assert number > self.told.acked, "out of order"
            self.told.acked = number

    def _released(self, mark_and_number: tuple[int, int], error: StorageError | None) -> None:
        mark, number = mark_and_number
        self._appended(mark, error)
        if error is None:
            self.told.release_acked = max(self.told.release_acked, number)


def files_in(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def left_in(directory: Path) -> tuple[str | None, list[tuple[int, bytes]]]:
    """What is wrong, and what is there, for one who only looks."""
    life = Life(directory, syncer="none")
    found = life.log.wrong, list(life.log.entries())
    life.close()
    return found

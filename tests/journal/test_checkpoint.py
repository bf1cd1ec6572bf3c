"""A checkpoint has in it all that was written before; or it is told why there is none."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from kit.journals import HINTS, MARKS, NO_LIMITS, RECORDS, Journal, Pairs, contents, value_for
from kit.runtime import DEADLINE_S

from kvorum.journal import checkpoint
from kvorum.journal.checkpoint import Checkpoints
from kvorum.model.errors import DiskFull, StorageError

KEYS = (*RECORDS, *HINTS, *MARKS)


class Engine:
    """The engine's files, which are those of the store double."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.made: dict[Path, Pairs] = {}

    @property
    def full(self) -> bool:
        return self._journal.below.full

    def checkpoint(self, path: Path) -> None:
        self.made[path] = contents(self._journal.below)


class Loop:
    """Turns the journal on the test's thread while another one makes a checkpoint."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._handed: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()

    def hand_over(self, callback: Callable[..., object], *args: Any) -> None:
        self._handed.put((callback, args))

    def take(self) -> None:
        callback, args = self._handed.get(timeout=DEADLINE_S)
        callback(*args)

    def run(self, made: Future[None]) -> None:
        """Until it is made, or not."""
        while not made.done():
            try:
                callback, args = self._handed.get(timeout=0.001)
            except Empty:
                self._journal.tick()
                self._journal.settle()
            else:
                callback(*args)


class Subject:
    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self.journal = Journal(limits=NO_LIMITS)
        self.engine = Engine(self.journal)
        self.loop = Loop(self.journal)
        self.checkpoints = Checkpoints(self.journal.store, self.engine, self.loop.hand_over)
        for number, key in enumerate(KEYS):
            self.journal.put(key, value_for(key, number))

    def make(self, path: Path) -> Future[None]:
        return self._pool.submit(self.checkpoints.make, path)


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(checkpoint, "_LOOK_EVERY_S", 0.001)
    with ThreadPoolExecutor(1) as pool:
        yield Subject(pool)


@pytest.mark.parametrize("settled", [False, True])
def test_what_was_written_before_is_in_it(subject: Subject, tmp_path: Path, settled: bool) -> None:
    if settled:
        subject.journal.settle()
    wanted = subject.journal.contents()
    for name in ("a", "b"):
        made = subject.make(tmp_path / name)
        subject.loop.run(made)
        made.result()
        assert subject.engine.made[tmp_path / name] == wanted


@pytest.mark.parametrize("when", ["before", "while it waits", "until it was seen"])
def test_on_a_full_disk_there_is_none(subject: Subject, tmp_path: Path, when: str) -> None:
    """Where nothing is flushed: it does not wait for ever, and takes no part for the whole."""
    below = subject.journal.below
    below.full = when != "while it waits"
    made = subject.make(tmp_path)
    if when == "while it waits":
        subject.loop.take()
        below.full = True
    with pytest.raises(DiskFull):
        made.result(DEADLINE_S)
    below.full = False
    assert subject.engine.made == {}
    assert subject.journal.contents() != []
    if when == "until it was seen":
        again = subject.make(tmp_path)
        subject.loop.run(again)
        again.result()
        assert subject.engine.made[tmp_path] == subject.journal.contents()


@pytest.mark.parametrize("failing", ["log", "below", "close"])
def test_an_error_of_the_journal_is_raised(subject: Subject, tmp_path: Path, failing: str) -> None:
    error = StorageError("disk on fire")
    journal = subject.journal
    journal.settle()
    made = subject.make(tmp_path)
    subject.loop.take()
    match failing:
        case "log":
            journal.log.fail(error)
        case "below":
            journal.below.fail(error)
        case _:
            journal.store.close()
    subject.loop.run(made)
    with pytest.raises(StorageError, match="closed" if failing == "close" else "disk on fire"):
        made.result()
    assert subject.engine.made == {}


def test_a_journal_that_is_closed_is_no_reason_to_wait(subject: Subject, tmp_path: Path) -> None:
    subject.journal.store.close()
    made = subject.make(tmp_path)
    subject.loop.run(made)
    with pytest.raises(StorageError, match="closed"):
        made.result()

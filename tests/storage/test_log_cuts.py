"""A crash at every step of a log's life and within every write: all is there that must be.

Each call that changes the disk is a step. Before it the directory is noted down, with what the log
was told up to then; a write's data as well, so that it can be torn: any of its blocks may have
reached the disk, and any have not.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kit.log_lives import BLOCK, FILE_BLOCKS, Life, Told, files_in, small_files, text_of

STEPS = ("pwrite", "fsync", "replace", "rename", "unlink")


class Step(NamedTuple):
    files: dict[str, bytes]
    told: Told
    torn: list[dict[str, bytes]]


class Recorder:
    def __init__(self, directory: Path, told: Told) -> None:
        self.directory = directory
        self.told = told
        self.steps: list[Step] = []
        self.calls: set[str] = set()

    def note(self, call: str, args: tuple[Any, ...]) -> None:
        self.calls.add(call)
        files = files_in(self.directory)
        torn = list(_torn(files, *args)) if call == "pwrite" else []
        self.steps.append(Step(files, self.told.copy(), torn))

    @contextmanager
    def recording(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for call in STEPS:
                patch.setattr(os, call, self._noting(call, getattr(os, call)))
            yield
        self.note("end", ())

    def _noting(self, call: str, real: Any) -> Any:
        def noting(*args: Any, **rest: Any) -> Any:
            self.note(call, args)
            return real(*args, **rest)

        return noting


def _torn(
    files: dict[str, bytes], descriptor: int, data: bytes, at: int
) -> Iterator[dict[str, bytes]]:
    """`files` with some of the blocks of a write: all but one, only the first ones, every other."""
    name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
    blocks = range(len(data) // BLOCK)
    subsets = {frozenset(blocks) - {missing} for missing in blocks}
    subsets |= {frozenset(range(count)) for count in blocks}
    subsets |= {frozenset(blocks[::2]), frozenset(blocks[1::2])}
    for subset in subsets - {frozenset()}:
        content = bytearray(files[name])
        content.extend(bytes(max(0, at + len(data) - len(content))))
        for block in subset:
            start = block * BLOCK
            content[at + start : at + start + BLOCK] = data[start : start + BLOCK]
        yield {**files, name: bytes(content)}
    half = bytearray(files[name].ljust(at + len(data), b"\0"))
    half[at : at + 512] = data[:512]
    yield {**files, name: bytes(half)}


def live(life: Life, seed: int, rounds: int) -> None:
    rng = random.Random(seed)
    for turn in range(rounds):
        for _ in range(rng.randrange(1, 4)):
            life.append(text_of(1000 * seed + turn, rng.choice([1, 1, 1, 2, 3, FILE_BLOCKS])))
        if turn % 3 == 2:
            life.release(rng.randrange(life.log.last + 1))
        if turn % 8 == 7:
            life.log.part()
        if rng.random() < 0.7:
            life.settle()
    life.settle()


def put(files: dict[str, bytes], directory: Path) -> Path:
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


def survive(files: dict[str, bytes], told: Told, directory: Path) -> None:
    """Look at what is left, and go on: what has been torn is not in the way of what comes."""
    life = Life(put(files, directory), told.copy(), "none")
    life.told.judge(life.log)
    life.told.acked = life.log.last  # what was not acknowledged and is there stays there
    # A number that nobody has seen again is given once more.
    life.told.texts = {n: t for n, t in life.told.texts.items() if n <= life.log.last}
    for blocks in (1, 2):
        life.append(text_of(blocks, blocks))
    life.close()
    life = Life(directory, life.told, "none")
    life.told.judge(life.log)
    assert life.log.last == life.told.acked
    life.close()


@pytest.mark.parametrize("syncer", ["inline", "none"])
@pytest.mark.parametrize("seed", range(2))
def test_a_crash_at_every_step(tmp_path: Path, syncer: str, seed: int) -> None:
    with small_files():
        life = Life(tmp_path / "log", syncer=syncer)
        recorder = Recorder(tmp_path / "log", life.told)
        with recorder.recording():
            live(life, seed, 18)
            life.close()
            life = Life(tmp_path / "log", life.told, syncer)
            live(life, seed + 10, 10)
            life.close()
        number = 0
        for step in recorder.steps:
            for files in (step.files, *step.torn):
                number += 1
                survive(files, step.told, tmp_path / str(number))
    assert {"pwrite", "fsync", "unlink"} <= recorder.calls
    assert number > 200

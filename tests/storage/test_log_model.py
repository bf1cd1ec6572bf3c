"""Any sequence of appends, releases, partings, reopenings and crashes, against a plain map."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from kit.log_lives import BLOCK, FILE_BLOCKS, SYNCERS, Life, files_in, small_files

# A thread would make what a crash leaves another one each time.
DETERMINISTIC = st.sampled_from(sorted(SYNCERS.keys() - {"thread"}))
SIZES = st.one_of(
    st.integers(1, 100),
    st.integers(0, 2 * FILE_BLOCKS).map(lambda blocks: max(1, blocks * BLOCK - 32)),
    st.integers(1, 3 * BLOCK),
)


class LogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.small = small_files()
        self.small.__enter__()
        self.root = Path(tempfile.mkdtemp())
        self.lives = 0
        self.parted = 0
        self.life = Life(self.root / "0")

    @rule(size=SIZES)
    def append(self, size: int) -> None:
        number = self.life.log.last + 1
        text = (b"<entry %d>" % number).ljust(size, b".")
        assert self.life.append(text) == number

    @precondition(lambda self: self.life.log.last)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.life.release(data.draw(st.integers(0, self.life.log.last)))

    @rule()
    def part(self) -> None:
        self.life.log.part()
        self.parted = self.life.log.last

    @rule()
    def turn(self) -> None:
        self.life.pump.turn()

    @rule()
    def settle(self) -> None:
        self.life.settle()
        told = self.life.told
        data = b"".join(files_in(self.life.directory).values())
        if told.release_acked >= self.parted:
            traces = [n for n in told.texts if n <= self.parted and b"<entry %d>" % n in data]
            assert traces == []

    @rule(syncer=DETERMINISTIC)
    def reopen(self, syncer: str) -> None:
        self.life.close()
        self.part_is_forgotten()
        self.life = Life(self.life.directory, self.life.told, syncer)
        self.life.told.judge(self.life.log)
        assert self.life.log.last == self.life.told.acked

    @rule(syncer=DETERMINISTIC)
    def crash(self, syncer: str) -> None:
        self.lives += 1
        told = self.life.told.copy()
        left = shutil.copytree(self.life.directory, self.root / str(self.lives))
        self.life.close()
        self.life = Life(left, told, syncer)
        told.judge(self.life.log)
        last = self.life.log.last
        told.acked = last
        told.texts = {n: text for n, text in told.texts.items() if n <= last}
        self.part_is_forgotten()

    def part_is_forgotten(self) -> None:
        """Unless it is done already, the next life has to be asked for it again."""
        if self.life.told.release_acked < self.parted:
            self.parted = 0

    @invariant()
    def well(self) -> None:
        assert self.life.failures == []

    def teardown(self) -> None:
        self.life.close()
        shutil.rmtree(self.root)
        self.small.__exit__(None, None, None)


def test_any_order_of_calls() -> None:
    run_state_machine_as_test(
        LogMachine, settings=settings(max_examples=80, stateful_step_count=40, deadline=None)
    )

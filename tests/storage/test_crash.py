"""What a store holds after its process was killed or its log was cut: a prefix, with all acks."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.runtime import DEADLINE_S, Pump
from writer_process import key_of, value_of

from kvorum.model.errors import StorageError
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import NoSyncer

WRITER = Path(__file__).with_name("writer_process.py")


@contextmanager
def writer_on(path: Path, *args: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(WRITER), str(path), *map(str, args)]
    paths = os.environ | {"PYTHONPATH": str(WRITER.parents[1])}  # where `kit` is
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=paths) as writer:
        try:
            yield writer
        finally:
            writer.kill()


def ignore_loss(_why: str) -> None:
    """What a log holds beyond its damage may go."""


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


def survivors(path: Path) -> int:
    """How many writes survived; they must be the first ones, undamaged."""
    pump = Pump()
    store = RocksStore.open(path, pump, NoSyncer(pump.call_soon), never, forget=ignore_loss)
    try:
        pairs = store.scan(b"", b"\xff", 1 << 30)
    finally:
        store.close()
    assert pairs == [(key_of(number), value_of(number)) for number in range(len(pairs))]
    return len(pairs)


def kill_after(acks: int, path: Path, syncer: str) -> int:
    """Kill a writer once it has acknowledged so many writes; how many it had in the end."""
    seen = 0
    with writer_on(path, syncer) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            assert int(line) == seen, "acknowledged out of order"
            seen += 1
            if seen == acks:
                writer.kill()
    assert seen >= acks
    return seen


@pytest.mark.parametrize("syncer", ["thread", "inline", "os"])
@pytest.mark.parametrize("seed", range(3))
def test_kill_9_loses_no_acknowledged_write(tmp_path: Path, syncer: str, seed: int) -> None:
    acks = random.Random(f"{syncer} {seed}").randint(1, 4000)
    acknowledged = kill_after(acks, tmp_path, syncer)
    assert survivors(tmp_path) >= acknowledged


def test_a_log_that_is_cut_anywhere_leaves_a_prefix(tmp_path: Path) -> None:
    """A machine that loses power may keep any part of what was not synced."""
    kill_after(1000, tmp_path / "whole", "os")
    total = survivors(shutil.copytree(tmp_path / "whole", tmp_path / "check"))
    rng = random.Random(1)
    for number in range(8):
        path = shutil.copytree(tmp_path / "whole", tmp_path / f"cut-{number}")
        (log,) = path.glob("*.log")
        data = bytearray(log.read_bytes())
        if number % 2:
            del data[rng.randrange(len(data)) :]
        else:
            data[rng.randrange(len(data))] ^= 0x40
        log.write_bytes(data)
        assert survivors(path) < total


def test_a_write_the_disk_refuses_fails_the_store_and_keeps_what_was_acknowledged(
    tmp_path: Path,
) -> None:
    with writer_on(tmp_path, "thread", 300_000) as writer:
        output, _ = writer.communicate(timeout=DEADLINE_S)
        assert writer.returncode == 0
    *acks, failure = output.splitlines()
    assert failure.startswith("failed The storage engine could not write to its log: IO error")
    assert [int(ack) for ack in acks] == list(range(len(acks)))
    assert survivors(tmp_path) >= len(acks) > 0

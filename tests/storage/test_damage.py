"""Files of the engine that are damaged, cut or gone: what is noticed, lost and said."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.runtime import DEADLINE_S, Answers, Pump, put

from kvorum.model.errors import ConfigError, StorageError
from kvorum.storage.directory import DataDirectory
from kvorum.storage.identity import Facts
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import InlineSyncer

FACTS = Facts("c", "n1", 16, "murmur3", 0)
WRITES = 400
SYNCED = 300
"""Of the writes, so many were acknowledged."""


def ignore_loss(_why: str) -> None:
    """What a log holds beyond its damage may go."""


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


def opened(path: Path, forget: Callable[[str], object] | None = None) -> RocksStore:
    pump = Pump()
    return RocksStore.open(path, pump, InlineSyncer(pump.call_soon), never, forget=forget)


def key_of(number: int) -> bytes:
    return b"%06d" % number


def value_of(number: int) -> bytes:
    return random.Random(number).randbytes(number % 1500 + 1)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a machine leaves whose power failed: a log, of whose writes `SYNCED` were synced."""
    path, copy = tmp_path_factory.mktemp("running"), tmp_path_factory.mktemp("crashed") / "rocks"
    pump, answers = Pump(), Answers()
    store = RocksStore.open(path, pump, InlineSyncer(pump.call_soon), never)
    for number in range(WRITES):
        put(store, key_of(number), value_of(number), answers.done, None)
        pump.drain()
        if number == SYNCED - 1:
            (log,) = path.glob("*.log")
            (path / "SYNCED").write_text(str(log.stat().st_size))
    shutil.copytree(path, copy)
    store.close()
    return copy


def log_of(path: Path) -> Path:
    (log,) = path.glob("*.log")
    return log


def recovered(path: Path, forget: Callable[[str], object] | None) -> int:
    """How many writes are there; they must be the first ones."""
    store = opened(path, forget)
    pairs = store.scan(b"", b"\xff", 1 << 20)
    store.close()
    assert pairs == [(key_of(number), value_of(number)) for number in range(len(pairs))]
    return len(pairs)


def test_a_torn_log_has_all_that_was_acknowledged_and_is_no_damage(
    crashed: Path, tmp_path: Path
) -> None:
    data = log_of(crashed).read_bytes()
    synced = int((crashed / "SYNCED").read_text())
    rng = random.Random(1)
    anywhere = [rng.randrange(synced, len(data)) for _ in range(30)]
    for end in sorted({synced, synced + 1, len(data) - 1, *anywhere}):
        path = shutil.copytree(crashed, tmp_path / str(end))
        os.truncate(log_of(path), end)
        assert recovered(path, None) >= SYNCED
        assert recovered(path, None) >= SYNCED  # and what was recovered is sound


def test_pages_that_were_never_written_cost_nothing_that_was_acknowledged(
    crashed: Path, tmp_path: Path
) -> None:
    data = log_of(crashed).read_bytes()
    synced = int((crashed / "SYNCED").read_text())
    first, last = synced // 4096 + 1, len(data) // 4096
    for page in range(first, last):
        path = shutil.copytree(crashed, tmp_path / str(page))
        zeroed = data[: page * 4096] + bytes(4096) + data[(page + 1) * 4096 :]
        log_of(path).write_bytes(zeroed)
        assert SYNCED <= recovered(path, ignore_loss) < WRITES


def test_an_end_of_zeros_is_the_end(crashed: Path, tmp_path: Path) -> None:
    path = shutil.copytree(crashed, tmp_path / "rocks")
    with open(log_of(path), "ab") as log:
        log.write(bytes(100_000))
    assert recovered(path, None) == WRITES


def damage(path: Path, place: int) -> None:
    data = bytearray(log_of(path).read_bytes())
    data[place] ^= 0x40
    log_of(path).write_bytes(data)


def test_damage_before_what_is_sound_is_told_before_that_is_given_up(
    crashed: Path, tmp_path: Path
) -> None:
    size = log_of(crashed).stat().st_size
    rng = random.Random(2)
    for number in range(20):
        path = shutil.copytree(crashed, tmp_path / str(number))
        damage(path, rng.randrange(size))
        before = log_of(path).read_bytes()
        told: list[tuple[str, bytes]] = []

        def forget(why: str, path: Path = path, told: list[tuple[str, bytes]] = told) -> None:
            told.append((why, log_of(path).read_bytes()))

        assert recovered(path, forget) < WRITES
        ((why, log),) = told
        assert "Corruption" in why
        assert log == before
        assert recovered(path, None) < WRITES  # it is told once


def test_without_somebody_to_tell_a_damaged_log_is_refused_and_kept(
    crashed: Path, tmp_path: Path
) -> None:
    path = shutil.copytree(crashed, tmp_path / "rocks")
    damage(path, 30_000)
    for _ in range(2):
        with pytest.raises(StorageError, match="Corruption"):
            opened(path)
    assert recovered(path, ignore_loss) > 0


TWO_LOGS = """
import os, sys
from rocksdict import Options, Rdict, WriteBatch
options = Options(raw_mode=True)
options.set_write_buffer_size(200_000)
options.set_max_write_buffer_number(8)
options.set_min_write_buffer_number_to_merge(7)
engine = Rdict(sys.argv[1], options, column_families={"default": options})
for number in range(400):
    engine.put(b"%06d" % number, b"v" * 1000)
engine.flush_wal(True)
os._exit(0)
"""


def test_a_log_that_ends_before_the_next_one_begins_is_damaged(tmp_path: Path) -> None:
    """Its end was synced before there was a next one."""
    path = tmp_path / "rocks"
    subprocess.run([sys.executable, "-c", TWO_LOGS, str(path)], check=True, timeout=DEADLINE_S)
    first, *others = sorted(path.glob("*.log"))
    assert others
    os.truncate(first, 100_500)
    told: list[str] = []
    store = opened(path, told.append)
    assert len(told) == 1
    keys = [key for key, _ in store.scan(b"", b"\xff", 1 << 20)]
    assert keys == [key_of(number) for number in range(len(keys))]
    store.close()


class Home:
    """A data directory with an engine in it, as a node leaves it that is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rocks = path / "rocks"
        pump, answers = Pump(), Answers()
        directory = DataDirectory.open(path, FACTS)
        store = RocksStore.open(self.rocks, pump, InlineSyncer(pump.call_soon), never)
        directory.founded()
        for number in range(200):
            put(store, key_of(number), value_of(number), answers.done, None)
            pump.drain()
        directory.release()
        shutil.copytree(self.rocks, path / "copy")
        store.close()
        shutil.rmtree(self.rocks)
        (path / "copy").rename(self.rocks)


@pytest.mark.parametrize("clean", [True, False])
def test_a_node_that_forgot_is_another_actor_and_knows_it_until_that_is_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, clean: bool
) -> None:
    """Also if it stopped well: what was in the log then may list its dots."""
    home = Home(tmp_path)
    last = DataDirectory.open(tmp_path, FACTS)
    actor = last.actor
    if clean:
        last.close(200, 0)
    else:
        last.release()
    damage(home.rocks, 5000)

    directory = DataDirectory.open(tmp_path, FACTS)
    assert not directory.forgot
    opened(home.rocks, directory.forget).close()
    assert directory.forgot
    assert directory.crashed
    assert (directory.actor != actor, directory.counter) == (True, 0)
    assert f"The data in {tmp_path} is incomplete" in caplog.text
    directory.release()

    directory = DataDirectory.open(tmp_path, FACTS)
    assert directory.forgot
    directory.noted_loss()
    directory.release()
    assert not DataDirectory.open(tmp_path, FACTS).forgot


def remove(pattern: str) -> Callable[[Path], None]:
    def work(rocks: Path) -> None:
        for file in rocks.glob(pattern):
            file.unlink()

    return work


def cut(pattern: str) -> Callable[[Path], None]:
    def work(rocks: Path) -> None:
        for file in rocks.glob(pattern):
            os.truncate(file, 20)

    return work


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (remove("*"), "CURRENT is missing"),
        (remove("CURRENT"), "CURRENT is missing"),
        (cut("CURRENT"), "CURRENT"),
        (remove("MANIFEST-*"), "MANIFEST-"),
        (cut("MANIFEST-*"), "MANIFEST-"),
        (remove("*.sst"), ".sst"),
        (cut("*.sst"), ".sst"),
    ],
)
def test_a_node_does_not_start_without_a_file_it_needs_and_says_which(
    tmp_path: Path, spoil: Callable[[Path], None], named: str
) -> None:
    home = Home(tmp_path)
    opened(home.rocks).close()  # what the log held is in a sorted file now
    spoil(home.rocks)
    for _ in range(2):
        with pytest.raises((ConfigError, StorageError), match=r"kvorum rebuild") as caught:
            start(tmp_path)
        assert named in str(caught.value)


def start(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    try:
        opened(directory.rocks_path, directory.forget).close()
    finally:
        directory.release()


def test_a_first_start_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    directory = DataDirectory.open(tmp_path, FACTS)
    directory.release()
    (directory.rocks_path / "LOG").write_text("the engine had begun")
    start(tmp_path)

"""The data directory: one process at a time, one identity for good."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from kvorum.model.errors import ConfigError, StorageError
from kvorum.storage.directory import DataDirectory
from kvorum.storage.identity import Facts, Identity, decode, encode

FACTS = Facts("c", "n1", 256, "murmur3", 0)
PEER = "ab" * 16

OPEN_IN_A_PROCESS = """
import sys, time
from pathlib import Path
from kvorum.model.errors import ConfigError
from kvorum.storage.directory import DataDirectory
from kvorum.storage.identity import Facts
try:
    directory = DataDirectory.open(Path(sys.argv[1]), Facts("c", "n1", 256, "murmur3", 0))
except ConfigError as error:
    print(error)
else:
    print(directory.actor, flush=True)
    time.sleep(60)
"""


@contextmanager
def open_in_a_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", OPEN_IN_A_PROCESS, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def stored(path: Path) -> Identity:
    return decode((path / "node.json").read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some" / "data"


def test_it_is_made_for_its_owner_only(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    assert mode(path) == 0o700
    assert mode(path / "node.json") == 0o600
    assert directory.rocks_path == path / "rocks"
    assert directory.rocks_path.is_dir()
    assert (directory.incarnation, directory.counter) == (1, 0)
    assert directory.actor == int(directory.node_id[:11], 16) << 20 | 1
    directory.release()


def test_it_is_marked_unclean_on_disk_before_it_is_used(path: Path) -> None:
    first = DataDirectory.open(path, FACTS)
    assert not stored(path).clean
    first.close(5, 0)
    assert stored(path).clean
    second = DataDirectory.open(path, FACTS)
    assert not stored(path).clean
    second.release()


def test_after_a_clean_stop_the_actor_goes_on(path: Path) -> None:
    first = DataDirectory.open(path, FACTS)
    first.close(41, 0)
    second = DataDirectory.open(path, FACTS)
    assert (second.actor, second.counter) == (first.actor, 41)
    second.release()


def test_after_a_release_a_new_actor_begins(path: Path) -> None:
    first = DataDirectory.open(path, FACTS)
    first.release()
    first.release()  # does no harm
    second = DataDirectory.open(path, FACTS)
    assert second.node_id == first.node_id
    assert (second.incarnation, second.counter) == (2, 0)
    second.release()


def test_after_a_kill_a_new_actor_begins(path: Path) -> None:
    DataDirectory.open(path, FACTS).close(41, 0)
    with open_in_a_process(path) as process:
        assert process.stdout is not None
        actor = int(process.stdout.readline())
    following = DataDirectory.open(path, FACTS)
    assert actor & 0xFFFFF == 1
    assert (following.incarnation, following.counter) == (2, 0)
    following.release()


def test_a_second_process_is_told_who_holds_it_and_what_to_do(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    before = (path / "node.json").read_bytes()
    with open_in_a_process(path) as process:
        output, _ = process.communicate(timeout=20)
    assert output.count("\n") == 1
    for part in (str(path), f"in use by process {os.getpid()}", "Stop that one"):
        assert part in output
    assert (path / "node.json").read_bytes() == before
    directory.release()


def test_a_second_opener_in_the_same_process_is_refused(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    with pytest.raises(ConfigError, match=f"in use by process {os.getpid()}"):
        DataDirectory.open(path, FACTS)
    directory.release()
    DataDirectory.open(path, FACTS).release()


def test_other_facts_are_refused_and_change_nothing(path: Path) -> None:
    DataDirectory.open(path, FACTS).close(1, 0)
    before = (path / "node.json").read_bytes()
    with pytest.raises(ConfigError) as raised:
        DataDirectory.open(path, msgspec.structs.replace(FACTS, partitions=512))
    for part in (str(path), "created with partitions 256", "512", "Set partitions back"):
        assert part in str(raised.value)
    assert raised.value.details["got"] == 256
    assert (path / "node.json").read_bytes() == before
    DataDirectory.open(path, FACTS).release()  # the lock was given back


def test_another_format_is_refused(path: Path) -> None:
    DataDirectory.open(path, FACTS).close(1, 0)
    later = (path / "node.json").read_bytes().replace(b'"format":4', b'"format":7')
    (path / "node.json").write_bytes(later)
    with pytest.raises(ConfigError, match="format 7"):
        DataDirectory.open(path, FACTS)
    assert (path / "node.json").read_bytes() == later


@pytest.mark.parametrize("damage", [lambda _: b"", lambda data: data[:-9], lambda _: b"\xff{"])
def test_a_damaged_identity_is_refused_and_kept(
    path: Path, damage: Callable[[bytes], bytes]
) -> None:
    DataDirectory.open(path, FACTS).close(1, 0)
    damaged = damage((path / "node.json").read_bytes())
    (path / "node.json").write_bytes(damaged)
    with pytest.raises(ConfigError, match=r"node\.json: .*damaged.*Restore it"):
        DataDirectory.open(path, FACTS)
    assert (path / "node.json").read_bytes() == damaged


def test_data_without_identity_is_refused(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    (directory.rocks_path / "000001.sst").write_bytes(b"data")
    directory.close(1, 0)
    (path / "node.json").unlink()
    with pytest.raises(ConfigError, match="a new identity may not answer for old data"):
        DataDirectory.open(path, FACTS)
    assert not (path / "node.json").exists()


def test_an_identity_without_its_data_is_refused(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    directory.close(1, 0)
    directory.rocks_path.rmdir()
    with pytest.raises(ConfigError, match=r"rocks is missing\. Restore it"):
        DataDirectory.open(path, FACTS)


def test_a_first_start_that_was_cut_short_can_be_repeated(path: Path) -> None:
    (path / "rocks").mkdir(parents=True)
    directory = DataDirectory.open(path, FACTS)
    assert directory.incarnation == 1
    directory.release()


def test_a_draft_that_was_never_put_in_place_counts_for_nothing(path: Path) -> None:
    DataDirectory.open(path, FACTS).close(9, 0)
    (path / "node.json.new").write_bytes(b'{"format":1,"che')
    directory = DataDirectory.open(path, FACTS)
    assert (directory.incarnation, directory.counter) == (1, 9)
    directory.release()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_crash_while_it_is_written_leaves_the_last_state(
    path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    DataDirectory.open(path, FACTS).close(9, 0)
    before = (path / "node.json").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(os if call == "fsync" else Path, call, fail)
        with pytest.raises(ConfigError, match="No space left on device"):
            DataDirectory.open(path, FACTS)
    assert (path / "node.json").read_bytes() == before
    directory = DataDirectory.open(path, FACTS)
    assert (directory.incarnation, directory.counter) == (1, 9)
    directory.release()


def fail(*_args: object) -> None:
    raise OSError(28, "No space left on device")


def test_the_new_state_is_synced_before_it_is_put_in_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DataDirectory.open(path, FACTS).close(9, 0)
    calls: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append("sync directory" if is_directory else "sync file")
        sync(descriptor)

    def noted_replace(source: Path, target: Path) -> Path:
        calls.append("replace")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    DataDirectory.open(path, FACTS).release()
    assert calls == ["sync file", "replace", "sync directory"]


def test_a_stop_that_cannot_be_written_stays_unclean(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = DataDirectory.open(path, FACTS)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match=r"node\.json cannot be written"):
            directory.close(3, 0)
    following = DataDirectory.open(path, FACTS)  # the lock was given back
    assert following.incarnation == 2
    following.release()


def test_names_of_peers_are_remembered_over_a_restart(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    directory.remember(PEER, "n2")
    directory.remember(PEER, "n2-renamed")
    assert directory.names == {PEER: "n2-renamed"}
    directory.release()
    directory = DataDirectory.open(path, FACTS)
    assert directory.names == {PEER: "n2-renamed"}
    directory.close(3, 0)
    assert stored(path).names == {PEER: "n2-renamed"}


def test_a_known_name_is_not_written_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = DataDirectory.open(path, FACTS)
    directory.remember(PEER, "n2")
    monkeypatch.setattr(os, "fsync", fail)
    directory.remember(PEER, "n2")
    directory.release()


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Make it a directory"):
        DataDirectory.open(tmp_path / "file", FACTS)


def test_used_up_incarnations_are_refused(path: Path) -> None:
    DataDirectory.open(path, FACTS).release()
    last = msgspec.structs.replace(stored(path), incarnation=(1 << 20) - 1)
    (path / "node.json").write_bytes(encode(last))
    with pytest.raises(ConfigError, match="used up"):
        DataDirectory.open(path, FACTS)


def test_the_directory_above_those_of_nodes_is_refused_and_left_as_it_was(path: Path) -> None:
    for name in ("n1", "n2"):
        DataDirectory.open(path / name, FACTS).close(1, 0)
    before = sorted(path.rglob("*"))
    with pytest.raises(ConfigError, match=r"those of n1, n2\. .* 'kvorum up"):
        DataDirectory.open(path, FACTS)
    assert sorted(path.rglob("*")) == before
    # A node's own may hold others, such as one that was put aside.
    DataDirectory.open(path / "n1", FACTS).close(1, 0)
    DataDirectory.open(path / "n1" / "before", FACTS).close(1, 0)
    DataDirectory.open(path / "n1", FACTS).close(1, 0)

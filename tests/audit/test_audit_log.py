"""The audit log: what it writes, that nobody waits for it, and how it goes on after faults."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path

import pytest
from kit.audit_logs import (
    WALL_MS,
    AuditDisk,
    Somebody,
    audit_log,
    entries,
    lines,
    note_some,
    running,
    written,
)
from kit.waiting import eventually

from kvorum.audit.audit_log import AuditLog
from kvorum.audit.files import log_files, path_of
from kvorum.audit.settings import AuditSettings, ShownKeys
from kvorum.audit.verification import verify
from kvorum.model.audit_level import AuditLevel
from kvorum.model.errors import ConfigError

TOKEN = "kvt_0123456789ab_" + "s" * 43


def test_an_entry_says_who_asked_for_what_and_what_came_of_it(tmp_path: Path) -> None:
    with running(tmp_path / "audit") as log:
        log.note(Somebody(), "write", "default", "apple", "ok")
        log.note(Somebody("root", "user", "::1"), "create_snapshot", None, None, "ok", "nightly")
        log.refused_login("10.0.0.9", "mallory", "unauthenticated")
    first, second, third = (
        {name: value for name, value in entry.items() if name not in ("n", "prev", "hash")}
        for entry in entries(tmp_path / "audit")
    )
    stated = {"time": "2023-11-14T22:13:20.000Z", "node": "n1"}
    assert first == stated | {
        "name": "ops",
        "kind": "token",
        "source": "10.0.0.7",
        "action": "write",
        "namespace": "default",
        "key": "apple",
        "outcome": "ok",
    }
    assert second == stated | {
        "name": "root",
        "kind": "user",
        "source": "::1",
        "action": "create_snapshot",
        "subject": "nightly",
        "outcome": "ok",
    }
    assert third == stated | {
        "name": "mallory",
        "kind": "unknown",
        "source": "10.0.0.9",
        "action": "login",
        "outcome": "unauthenticated",
    }


@pytest.mark.parametrize("wall_ms", [-(10**18), 10**18])
def test_a_clock_that_was_set_to_some_far_age_harms_nothing(tmp_path: Path, wall_ms: int) -> None:
    log = AuditLog(tmp_path, AuditSettings(), "n1", lambda: wall_ms)
    log.start()
    note_some(log, 1)
    log.close()
    assert entries(tmp_path)[0]["time"] == f"{wall_ms} ms"


def test_what_is_noted_is_durable_within_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("kvorum.audit.written_files.os.fsync", synced.append)
    with running(tmp_path) as log:
        synced.clear()
        note_some(log, 1)
        eventually(lambda: bool(synced), "the entry to be durable")


def test_only_its_user_may_read_it(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    directory.mkdir(mode=0o755)
    written(directory, 3, keys=ShownKeys.HASHED)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_the_chain_goes_on_over_starts(tmp_path: Path) -> None:
    for _ in range(3):
        written(tmp_path, 5)
    own = [entry["action"] for entry in entries(tmp_path, own=True)]
    assert own == ["audit.started", "audit.stopped"] * 3
    assert [json.loads(line)["n"] for line in lines(tmp_path)] == list(range(1, 22))
    assert verify(tmp_path).problem is None


def test_a_start_says_at_which_level_it_writes(tmp_path: Path) -> None:
    written(tmp_path, 0, level=AuditLevel.ALL, keys=ShownKeys.NONE)
    assert entries(tmp_path, own=True)[0]["detail"] == {"level": "all", "keys": "none"}


def test_what_is_refused_over_and_over_is_one_entry(tmp_path: Path) -> None:
    with running(tmp_path) as log:
        for _ in range(500):
            log.refused_login("10.0.0.9", "mallory", "too_many_attempts")
            log.note(Somebody(), "write", "default", "k", "ok")
        log.refused_login("10.0.0.8", "mallory", "too_many_attempts")
    found = entries(tmp_path)
    assert len([entry for entry in found if entry["outcome"] == "ok"]) == 500
    refused = [entry for entry in found if entry["outcome"] != "ok"]
    times = [entry.get("times", 1) for entry in refused if entry["source"] == "10.0.0.9"]
    assert sum(times) == 500
    assert len(times) < 50
    assert "times" not in refused[-1]
    assert verify(tmp_path).problem is None


# Keys and names


@pytest.mark.parametrize("shown", ShownKeys)
def test_keys_are_shown_as_wanted(tmp_path: Path, shown: ShownKeys) -> None:
    with running(tmp_path, keys=shown) as log:
        for key in ("apple", "pear", "apple"):
            log.note(Somebody(), "read", "default", key, "ok")
    found = entries(tmp_path)
    if shown is ShownKeys.PLAIN:
        assert [entry["key"] for entry in found] == ["apple", "pear", "apple"]
        return
    assert not any("key" in entry for entry in found)
    assert b"apple" not in b"".join(lines(tmp_path))
    if shown is ShownKeys.HASHED:
        one, other, same = (entry["key_hash"] for entry in found)
        assert one == same != other
        assert len(one) == 32


def test_hashes_of_keys_stay_the_same_over_starts_and_differ_between_directories(
    tmp_path: Path,
) -> None:
    for directory in ("a", "a", "b"):
        written(tmp_path / directory, 1, keys=ShownKeys.HASHED)
    one, same = (entry["key_hash"] for entry in entries(tmp_path / "a"))
    [other] = entries(tmp_path / "b")
    assert one == same != other["key_hash"]


def test_a_damaged_key_for_hashes_is_refused(tmp_path: Path) -> None:
    written(tmp_path, 1, keys=ShownKeys.HASHED)
    before = lines(tmp_path)
    (tmp_path / "key").write_bytes(b"\xff zz")
    with pytest.raises(ConfigError, match="is damaged"):
        audit_log(tmp_path, keys=ShownKeys.HASHED).start()
    assert lines(tmp_path) == before
    written(tmp_path, 1)  # the directory is free


def test_what_clients_say_is_bounded_and_harmless(tmp_path: Path) -> None:
    with running(tmp_path) as log:
        log.note(Somebody(), "read", "n" * 5000, "k" * 100_000, "invalid_key")
        log.note(Somebody(), "read", None, '\ud800"\n{}', "invalid_key")
        log.note(Somebody(), "read", None, ',"n":7,"prev":"' + "0" * 64 + '"', "ok")
        log.refused_login("10.0.0.9", "m" * 5000, "unauthenticated")
    assert verify(tmp_path).problem is None
    long, broken, forged, name = entries(tmp_path)
    assert long["key"] == "k" * 1024 + "... (100000 characters)"
    assert broken["key"] == '\\ud800"\n{}'
    assert forged["key"].startswith(',"n":7')
    assert len(long["namespace"]) < 200
    assert len(name["name"]) < 200


@pytest.mark.parametrize("given", [TOKEN, f" {TOKEN}x", f"Bearer {TOKEN}", TOKEN[:40]])
def test_a_token_in_the_place_of_a_name_is_not_written(tmp_path: Path, given: str) -> None:
    with running(tmp_path) as log:
        log.refused_login("10.0.0.9", given, "unauthenticated")
        log.note(Somebody(given), "read", None, None, "access_denied", given)
    text = b"".join(lines(tmp_path))
    assert b"ssss" not in text
    assert text.count(b"kvt_0123456789ab_...") == 3


# Rotation


def test_files_are_rotated_by_size_and_the_oldest_ones_removed(tmp_path: Path) -> None:
    written(tmp_path, 1000, file_bytes=8000, files=3)
    files = log_files(tmp_path)
    assert len(files) == 3
    verdict = verify(tmp_path)
    assert verdict.problem is None
    assert verdict.first.number > 1
    removed = [e for e in entries(tmp_path, own=True) if e["action"] == "audit.removed"]
    assert removed[-1]["detail"]["file"] == path_of(tmp_path, files[0].number - 1).name
    assert removed[-1]["detail"]["through"] == verdict.first.number - 1


def test_a_file_is_removed_only_once_that_is_told_durably(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    unlink = Path.unlink
    monkeypatch.setattr(
        "kvorum.audit.written_files.os.fsync", lambda _descriptor: order.append("sync")
    )

    def remove(path: Path) -> None:
        told = b'"file":"%b"' % path.name.encode()
        order.append("remove" if told in b"".join(lines(tmp_path)) else "remove untold")
        unlink(path)

    monkeypatch.setattr(Path, "unlink", remove)
    written(tmp_path, 500, file_bytes=4000, files=2)
    assert "remove untold" not in order
    places = [place for place, step in enumerate(order) if step == "remove"]
    assert places
    assert {order[place - 1] for place in places} == {"sync"}


def test_a_log_whose_beginning_was_removed_by_hand_is_not_whole(tmp_path: Path) -> None:
    written(tmp_path, 1000, file_bytes=8000, files=4)
    log_files(tmp_path)[0].path.unlink()
    problem = verify(tmp_path).problem
    assert problem is not None
    assert "no entry says that those before it were removed" in problem.message


@pytest.mark.parametrize("wrong", [{"files": 1}, {"file_bytes": 0}])
def test_sizes_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="audit log"):
        AuditSettings(**wrong)  # type: ignore[arg-type]


# Crashes


@pytest.mark.parametrize("torn", [b'{"time":"2026', b"\0" * 5000, b'{"a":1}\n{"b":', b"\xff\n\n"])
def test_a_torn_end_is_kept_aside_and_the_chain_goes_on(tmp_path: Path, torn: bytes) -> None:
    written(tmp_path, 5)
    before = lines(tmp_path)
    with path_of(tmp_path, 1).open("ab") as file:
        file.write(torn)
    assert verify(tmp_path).problem is not None
    written(tmp_path, 5)
    verdict = verify(tmp_path)
    assert (verdict.problem, verdict.torn) == (None, 1)
    assert lines(tmp_path)[: len(before)] == before
    told = next(e for e in entries(tmp_path, own=True) if e["action"] == "audit.torn")
    assert told["detail"] == {"file": "audit-000001.torn-7", "bytes": len(torn)}
    assert (tmp_path / "audit-000001.torn-7").read_bytes() == torn


def test_a_new_file_in_which_nothing_is_whole_leads_back_to_the_one_before(tmp_path: Path) -> None:
    written(tmp_path, 5)
    path_of(tmp_path, 2).write_bytes(b"{")
    path_of(tmp_path, 3).touch()
    written(tmp_path, 5)
    verdict = verify(tmp_path)
    assert (verdict.problem, verdict.entries) == (None, 15)
    assert b'"n":9' in path_of(tmp_path, 3).read_bytes()


def test_every_cut_of_the_end_is_recovered(tmp_path: Path) -> None:
    written(tmp_path / "whole", 2)
    text = b"".join(lines(tmp_path / "whole"))
    for cut in range(0, len(text), 7):
        directory = tmp_path / f"cut-{cut}"
        directory.mkdir()
        path_of(directory, 1).write_bytes(text[:cut])
        written(directory, 1)
        assert verify(directory).problem is None


def test_a_line_that_was_changed_is_not_mended_by_a_start(tmp_path: Path) -> None:
    written(tmp_path, 5)
    file = path_of(tmp_path, 1)
    file.write_bytes(file.read_bytes().replace(b"k2", b"k3"))
    written(tmp_path, 5)
    problem = verify(tmp_path).problem
    assert problem is not None
    assert (problem.wrong, problem.line) == ("changed", 4)


# One writer


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with running(tmp_path):
        before = lines(tmp_path)
        with pytest.raises(ConfigError, match=f"is written by process {os.getpid()}") as caught:
            audit_log(tmp_path).start()
        assert caught.value.details["pid"] == str(os.getpid())
        assert lines(tmp_path) == before
    written(tmp_path, 1)


def test_a_running_log_may_be_verified(tmp_path: Path) -> None:
    with running(tmp_path) as log:
        note_some(log, 10)
        eventually(lambda: log.written == 10, "the entries to be written")
        assert verify(tmp_path).entries == 11


# Disks


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> AuditDisk:
    return AuditDisk(monkeypatch)


def test_a_full_disk_stops_nobody_and_what_was_dropped_is_stated(
    tmp_path: Path, disk: AuditDisk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with running(tmp_path, queue_max=10) as log:
        disk.room = 100  # so that a batch is torn
        note_some(log, 1)
        eventually(lambda: log.failure is not None, "the disk to be full")
        note_some(log, 40, first=1)
        assert log.dropped == 30
        disk.room = None
        eventually(lambda: log.failure is None, "the disk to be written again")
    assert [entry["key"] for entry in entries(tmp_path)] == [f"k{n}" for n in range(11)]
    [dropped] = [e for e in entries(tmp_path, own=True) if e["action"] == "audit.dropped"]
    assert dropped["detail"] == {"entries": 30}
    verdict = verify(tmp_path)
    assert (verdict.problem, verdict.dropped) == (None, 30)
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 2
    assert "No space left" in warned[0]
    assert warned[1] == "The audit log is written again."


def test_a_slow_disk_keeps_nobody_waiting(tmp_path: Path, disk: AuditDisk) -> None:
    with running(tmp_path, queue_max=100) as log:
        disk.asked.clear()
        disk.going.clear()
        note_some(log, 1)
        assert disk.asked.wait(60)
        note_some(log, 150, first=1)  # returns, though nothing can be written
        assert log.dropped == 50
        disk.going.set()
    assert len(entries(tmp_path)) == 101
    assert verify(tmp_path).dropped == 50


def test_a_disk_that_is_full_to_the_end_is_told_of(
    tmp_path: Path, disk: AuditDisk, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path) as log:
        disk.room = 0
        note_some(log, 5)
    assert "The last entries of the audit log may be lost" in caplog.text
    disk.room = None
    written(tmp_path, 1)
    assert verify(tmp_path).problem is None


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path, disk: AuditDisk) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        audit_log(tmp_path / "file").start()
    disk.room = 0
    with pytest.raises(ConfigError, match="No space left"):
        audit_log(tmp_path / "audit").start()
    disk.room = None
    written(tmp_path / "audit", 1)
    assert verify(tmp_path / "audit").problem is None


def test_files_that_somebody_removes_are_followed_by_others(tmp_path: Path) -> None:
    with running(tmp_path) as log:
        path_of(tmp_path, 1).unlink()
        note_some(log, 1)
        eventually(lambda: log.written == 1, "the entry to be written")
    assert [entry["key"] for entry in entries(tmp_path)] == ["k0"]
    problem = verify(tmp_path).problem
    assert problem is not None
    assert problem.wrong == "missing"


def test_what_is_left_of_the_disk_for_data_is_not_taken(tmp_path: Path) -> None:
    room = [False]
    log = AuditLog(tmp_path, AuditSettings(), "n1", lambda: WALL_MS, lambda: room[0])
    log.start()
    note_some(log, 3)
    eventually(lambda: log.failure is not None, "the writer to find no room")
    assert not entries(tmp_path)
    room[0] = True
    log.close()
    assert len(entries(tmp_path)) == 3


def test_one_that_was_not_started_may_be_closed(tmp_path: Path) -> None:
    AuditLog(tmp_path, AuditSettings(), "n1", lambda: WALL_MS).close()

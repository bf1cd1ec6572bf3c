"""`kvorum snapshot restore` killed (SIGKILL) in the middle, and what the next run makes of it.

A dam holds what it sends, so the kill lands where the test wants it: before a list of records, or
anywhere within one.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from kit.dam import dammed
from kit.running_cluster import Cluster, command, origins, running
from kit.waiting import DEADLINE_S, eventually

from kvorum.cli.errors import ExitCode

ENTRIES: Final = {f"key {i}": {"number": i, "text": "ä" * (i % 50)} for i in range(6000)}
NOTES_AT_ONCE: Final = """
from kvorum.cli import main
from kvorum.cli.bulk import watch
watch.SAVE_EVERY_S = 0.0
"""
ONE_BY_ONE: Final = """
from kvorum.cli.bulk import pipeline
pipeline.IN_FLIGHT = 1
"""
"""So all that was sent before the dam is full is stored and noted, but for the last list."""

WITHIN_THE_FIRST_LIST: Final = 30_000
BEHIND_SOME_LISTS: Final = 400_000
"""Bytes; a restore sends more than 600,000."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """A stopped node with a snapshot "one" of ENTRIES, and other values since."""
    with running(tmp_path_factory.mktemp("source"), 1) as cluster:
        cluster.fill(ENTRIES)
        cluster.run("snapshot", "create", "one")
        cluster.fill({"key 1": "changed", "after": 1})
    return cluster


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Cluster]:
    with running(tmp_path / "empty", 1) as cluster:
        yield cluster


class Restore:
    """Of the snapshot, as often as it takes."""

    def __init__(self, source: Cluster, position: Path) -> None:
        self._position = position
        self._words = ["snapshot", "restore", "one", *origins(source), "--position", position]

    @property
    def noted(self) -> int | None:
        """How many records are stored, by the note; None if there is none."""
        try:
            stored: int = json.loads(self._position.read_text())["done"]["stored"]
        except FileNotFoundError:
            return None
        return stored

    def run(self, cluster: Cluster, *options: str) -> int:
        """How many records it has stored, with those of the runs that it goes on with."""
        document = cluster.run(*self._words, *options)
        assert self.noted is None
        records: int = document["records"]
        return records

    def refused(self, cluster: Cluster, *options: str) -> str:
        result = command(*self._words, "--server", cluster.server, *options)
        assert result.exit_code == ExitCode.CONFIG, result.output
        return result.stderr

    def killed(
        self, cluster: Cluster, sent: int, *options: str, how: str = NOTES_AT_ONCE + ONE_BY_ONE
    ) -> None:
        """When the server has had so many bytes, and there are others on their way."""
        with dammed(cluster.server) as dam:
            words = [*map(str, self._words), "--server", dam.server, *options]
            with subprocess.Popen([sys.executable, "-c", how + "main()", *words]) as process:
                try:
                    dam.raise_to(sent)
                    eventually(lambda: dam.passed == sent and dam.is_full, "what is sent")
                finally:
                    process.kill()
                assert process.wait(DEADLINE_S) == -signal.SIGKILL
        assert len(cluster.entries()) < len(ENTRIES)

    def terminated(self, cluster: Cluster, sent: int) -> str:
        """What it says to SIGTERM when the server has had so many bytes."""
        with dammed(cluster.server) as dam:
            words = [*map(str, self._words), "--server", dam.server]
            program = [sys.executable, "-c", ONE_BY_ONE + "from kvorum.cli import main\nmain()"]
            with subprocess.Popen([*program, *words], stderr=subprocess.PIPE, text=True) as process:
                dam.raise_to(sent)
                eventually(lambda: dam.passed == sent and dam.is_full, "what is sent")
                process.terminate()
                said = process.communicate(timeout=DEADLINE_S)[1]
                assert process.returncode == ExitCode.INTERRUPTED
        return said


@pytest.fixture
def restore(source: Cluster, tmp_path: Path) -> Restore:
    return Restore(source, tmp_path / "position")


@pytest.mark.parametrize(
    ("sent", "options"), [(200_000, ()), (550_000, ()), (BEHIND_SOME_LISTS, ("--renew",))]
)
def test_it_goes_on_where_it_was(
    restore: Restore, empty: Cluster, sent: int, options: tuple[str, ...]
) -> None:
    restore.killed(empty, sent, *options)
    assert restore.noted == len(empty.entries()) > 0
    assert restore.run(empty, "--resume", *options) == len(ENTRIES)
    assert empty.entries() == ENTRIES


def test_it_is_stopped_by_a_signal_and_says_how_to_go_on(restore: Restore, empty: Cluster) -> None:
    said = restore.terminated(empty, BEHIND_SOME_LISTS)
    assert f"{restore.noted} records are done, and --resume goes on behind them" in said
    assert restore.run(empty, "--resume") == len(ENTRIES)
    assert empty.entries() == ENTRIES


def test_also_when_it_is_killed_again(restore: Restore, empty: Cluster) -> None:
    restore.killed(empty, 200_000)
    before = restore.noted or 0
    restore.killed(empty, 200_000, "--resume")
    assert 0 < before < (restore.noted or 0)
    assert restore.run(empty, "--resume") == len(ENTRIES)
    assert empty.entries() == ENTRIES


def test_of_many_lists_under_way_none_is_forgotten(restore: Restore, empty: Cluster) -> None:
    """They are stored in any order, so less may be noted than is stored."""
    restore.killed(empty, BEHIND_SOME_LISTS, how=NOTES_AT_ONCE)
    assert (restore.noted or 0) <= len(empty.entries())
    restore.run(empty, *(["--resume"] if restore.noted else []))
    assert empty.entries() == ENTRIES


@pytest.mark.parametrize("sent", [0, WITHIN_THE_FIRST_LIST])
def test_before_anything_is_noted_it_begins_anew(
    restore: Restore, empty: Cluster, sent: int
) -> None:
    restore.killed(empty, sent)
    assert "leave out --resume" in restore.refused(empty, "--resume")
    assert restore.run(empty) == len(ENTRIES)
    assert empty.entries() == ENTRIES


def test_without_being_told_to_go_on_it_begins_anew(restore: Restore, empty: Cluster) -> None:
    restore.killed(empty, BEHIND_SOME_LISTS)
    assert restore.run(empty) == len(ENTRIES)
    assert empty.entries() == ENTRIES


def test_beginning_anew_it_forgets_how_far_it_once_was(
    restore: Restore, empty: Cluster, tmp_path: Path
) -> None:
    """Or a cluster that has been emptied since would lack what was stored before."""
    with running(tmp_path / "emptied", 1) as former:
        restore.killed(former, BEHIND_SOME_LISTS)
    restore.killed(empty, WITHIN_THE_FIRST_LIST)
    assert "leave out --resume" in restore.refused(empty, "--resume")
    assert restore.run(empty) == len(ENTRIES)
    assert empty.entries() == ENTRIES


def test_it_does_not_go_on_in_another_cluster(
    restore: Restore, empty: Cluster, tmp_path: Path
) -> None:
    with running(tmp_path / "another", 1) as another:
        restore.killed(another, BEHIND_SOME_LISTS)
    assert "another cluster" in restore.refused(empty, "--resume")
    assert empty.entries() == {}


def test_it_does_not_go_on_with_another_task(restore: Restore, empty: Cluster) -> None:
    one, anew = ("--namespace", "default"), ("--renew",)
    tasks: list[tuple[str, ...]] = [(), one, anew]
    for begun in tasks:
        restore.killed(empty, BEHIND_SOME_LISTS, *begun)
        before = empty.entries()
        for resumed in tasks:
            if resumed != begun:
                assert "in the same way" in restore.refused(empty, "--resume", *resumed)
        assert empty.entries() == before

"""`kvorum snapshot restore --data-dir` killed (SIGKILL) before each thing it does to the disk."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import killed_before
import pytest
from click.testing import CliRunner
from kit.backed_up import backed_up

import kvorum
from kvorum.cli import main
from kvorum.model.errors import ConfigError

DEADLINE_S: Final = 60.0
PROGRAM: Final = killed_before.__file__
THEN: Final = {f"key {i}": {"number": i} for i in range(100)}
NOW: Final = THEN | {"key 1": "changed", "after": 1}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that holds NOW, with a snapshot "one" of THEN."""
    path = tmp_path_factory.mktemp("stopped") / "n1"
    with backed_up(path) as node:
        node.store.set_many(THEN)
        node.create("one")
        node.store.set("key 1", NOW["key 1"])
        node.store.set("after", NOW["after"])
    return path


@pytest.fixture(scope="module")
def changes(stopped: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many things a restore does to the disk."""
    path = copy_of(stopped, tmp_path_factory.mktemp("whole"))
    done = restore(path, 0)
    assert done.returncode == 0, done.stderr
    assert entries(path) == THEN
    return int(done.stderr)


def copy_of(path: Path, where: Path) -> Path:
    return Path(shutil.copytree(path, where / "n1", ignore=shutil.ignore_patterns("RESERVE")))


def restore(path: Path, last: int) -> subprocess.CompletedProcess[str]:
    """Killed before its change number `last`; 0 lets it live."""
    return subprocess.run(
        [sys.executable, PROGRAM, str(last), str(path), *restoring(path)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def restoring(path: Path) -> list[str]:
    """The words of the command."""
    return ["snapshot", "restore", "one", "--data-dir", str(path)]


def entries(path: Path) -> dict[str, Any]:
    with kvorum.open(path) as store:
        return {entry.key: entry.value for entry in store.scan()}


def entries_or_refusal(path: Path) -> dict[str, Any] | None:
    try:
        return entries(path)
    except ConfigError as error:
        if "missing" not in error.message:
            raise
        return None


def test_given_again_it_is_whole_whether_or_not_it_is_started_in_between(
    stopped: Path, changes: int, tmp_path: Path
) -> None:
    """Started in between it is the one or the other, and never half."""
    refused = 0
    for number in range(1, changes + 1):
        path = copy_of(stopped, tmp_path / str(number))
        assert restore(path, number).returncode == -signal.SIGKILL
        started = copy_of(path, tmp_path / f"{number} started")
        found = entries_or_refusal(started)
        assert found in (None, NOW), number
        refused += found is None
        for one in (path, started):
            again = CliRunner().invoke(main, restoring(one))
            assert again.exit_code == 0, (number, again.stderr)
            assert entries(one) == THEN, number
    assert refused > 0, "no kill fell between the old store and the new one"
    assert refused < changes, "no kill fell before anything was changed"

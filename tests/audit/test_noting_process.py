"""An audit log in a process of its own: killed at any moment, and at the limit of its files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.audit_logs import audit_log, entries, written

from kvorum.audit.verification import verify
from kvorum.model.errors import ConfigError

SCRIPT = Path(__file__).with_name("noting_process.py")


@contextmanager
def noting(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    environ = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_a_log_whose_process_was_killed_goes_on(tmp_path: Path) -> None:
    for _ in range(3):
        with noting(tmp_path) as process:
            assert first_line(process)
            with pytest.raises(ConfigError, match=f"is written by process {process.pid}"):
                audit_log(tmp_path).start()
        written(tmp_path, 1)
        assert verify(tmp_path).problem is None


def test_files_that_may_not_grow_make_nobody_wait(tmp_path: Path) -> None:
    with noting(tmp_path, "15000") as process:
        dropped = int(first_line(process))
        assert process.wait(60) == 0
    verdict = verify(tmp_path)
    assert (verdict.problem, verdict.torn, verdict.dropped) == (None, 0, dropped)
    assert dropped > 0
    assert len(entries(tmp_path)) == 400 - dropped

"""A crash at every sync while the journal is written, flushed and let go of: all that was
acknowledged is there. See `journal_crash_points.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from journal_crash_points import OPERATIONS

PROGRAM = Path(__file__).with_name("journal_crash_points.py")


@pytest.mark.parametrize("when", ["before", "after", "power"])
def test_a_crash_at_every_sync_of_the_journal(tmp_path: Path, when: str) -> None:
    command = [sys.executable, str(PROGRAM), str(tmp_path), when]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    points, left = done.stdout.splitlines()
    assert int(points) >= OPERATIONS
    numbers = [int(number) for number in left.split()]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < OPERATIONS // 2, "segments have been flushed, and let go of"

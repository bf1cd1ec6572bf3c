"""A crash at every sync of a workload: all that was acknowledged is there, and no dot is new
twice. See `crash_points.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from crash_points import OPERATIONS

PROGRAM = Path(__file__).with_name("crash_points.py")


@pytest.mark.parametrize("when", ["before", "after", "power"])
def test_a_crash_at_every_sync(tmp_path: Path, when: str) -> None:
    command = [sys.executable, str(PROGRAM), str(tmp_path), when]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= OPERATIONS

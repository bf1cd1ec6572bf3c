"""Which process runs the cluster in a directory: a lock says it, never a number alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvorum.devcluster.hold import ask_to_stop, held, holder
from kvorum.model.errors import ConfigError

HOLD = """
import signal, sys
from pathlib import Path
from kvorum.devcluster.hold import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


@contextmanager
def another_holder(directory: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_directory_is_held_by_one_process_until_that_ends(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with another_holder(tmp_path) as other:
        assert holder(tmp_path) == other.pid
        refused = pytest.raises(ConfigError, match=f"runs already, as process {other.pid}")
        with refused, held(tmp_path):
            pass
        other.kill()
        other.wait()
        assert holder(tmp_path) is None
        with held(tmp_path):
            assert holder(tmp_path) == os.getpid()
    assert holder(tmp_path) is None


def test_the_holder_is_asked_to_stop(tmp_path: Path) -> None:
    with another_holder(tmp_path) as other:
        assert ask_to_stop(tmp_path) == other.pid
        assert other.wait() == -signal.SIGTERM
        assert ask_to_stop(tmp_path) is None


def test_a_process_that_only_has_the_number_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as stranger:
        (tmp_path / "up.lock").write_text(str(stranger.pid))
        try:
            assert holder(tmp_path) is None
            assert ask_to_stop(tmp_path) is None
            assert stranger.poll() is None
        finally:
            stranger.kill()

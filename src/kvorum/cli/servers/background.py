"""A cluster in the background: `kvorum up` as a process of its own, which outlives the command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kvorum.devcluster.control import is_ready
from kvorum.model.errors import ConfigError

LOG_NAME: Final = "up.log"
_DETACH: Final = "KVORUM_UP_DETACH"
"""What asked for the background must not do so there again."""
_LOOK_AGAIN_S: Final = 0.05
_LAST_BYTES: Final = 4096


def start_in_background(data_dir: Path, options: Sequence[str]) -> int:
    """Run `kvorum up` with `options` on the cluster in `data_dir`; returns the id of its process
    when all nodes are ready. Raises ConfigError, with its last words, if it ends before that."""
    path = data_dir / LOG_NAME
    command = [sys.executable, "-P", "-m", "kvorum", "up", "--data-dir", str(data_dir), *options]
    environment = {name: value for name, value in os.environ.items() if name != _DETACH}
    with path.open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment,
        )
    while not is_ready(data_dir):
        if process.poll() is not None:
            raise ConfigError(f"The cluster did not start: {_last_words(path)}")
        time.sleep(_LOOK_AGAIN_S)
    process.returncode = 0  # Nobody waits for it: it is meant to run on.
    return process.pid


def _last_words(path: Path) -> str:
    """The last line of the log."""
    lines = path.read_bytes()[-_LAST_BYTES:].decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), f"see {path}.")
    return last.removeprefix("error: ")

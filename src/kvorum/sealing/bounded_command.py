"""Run a command with a deadline and a bound on its output.

The command gets no input and no shell, and a session of its own, so that its children end with
it. It is killed if it writes more to stdout than the bound. Of stderr only the beginning is kept;
the rest is read and discarded, so that the command never blocks on it.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

STDOUT_BYTES_MAX: Final = 4096
STDERR_BYTES_MAX: Final = 1024
_READ_BYTES: Final = 4096

_Pipes = dict[int, bytearray]


class Finished(NamedTuple):
    """How a command ended: its exit status (or minus a signal's number) and its output."""

    status: int
    stdout: bytes
    stderr: bytes


class CommandFailed(Exception):
    """The command was killed because it exceeded a bound. The message shows none of its output."""


def run_bounded(command: Sequence[str], seconds: float) -> Finished:
    """Run `command` for at most `seconds`. Raises CommandFailed, and OSError if it cannot start."""
    deadline = time.monotonic() + seconds
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            stdout, stderr = _drain(process.stdout.fileno(), process.stderr.fileno(), deadline)
            status = process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            _kill(process)
            raise CommandFailed(f"it closed its output but did not end in {seconds:g} s") from error
        except TimeoutError as error:
            _kill(process)
            raise CommandFailed(f"it did not end in {seconds:g} s") from error
        except BaseException:
            _kill(process)
            raise
    return Finished(status, stdout, stderr)


def _drain(stdout: int, stderr: int, deadline: float) -> tuple[bytes, bytes]:
    kept: _Pipes = {stdout: bytearray(), stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        selector.register(stderr, selectors.EVENT_READ)
        while selector.get_map():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            for ready, _ in selector.select(remaining):
                data = os.read(ready.fd, _READ_BYTES)
                if not data:
                    selector.unregister(ready.fd)
                kept[ready.fd] += data
            del kept[stderr][STDERR_BYTES_MAX:]
            if len(kept[stdout]) > STDOUT_BYTES_MAX:
                raise CommandFailed(f"it wrote more than {STDOUT_BYTES_MAX} bytes to stdout")
    return bytes(kept[stdout]), bytes(kept[stderr])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the command and its children. It is not reaped yet, so its id is still its own."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)

"""One node's process: a child that runs `kvorum serve`, known by three pipes.

    stdin    held open and never written: the child stops by itself when it closes, which it
             does even if this process is killed
    stdout   one line when the node is ready; closed before that, the node did not start
    stderr   the log; its last line is the reason if the node did not start

The child leads a session of its own, so that a Ctrl-C at the terminal reaches this process
alone, which then stops the nodes in its own way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from kvorum.model.errors import ConfigError

SERVE_VARIABLES: Final = "KVORUM_SERVE_"
"""How environment variables begin that a node alone would heed; here the cluster decides."""
_LAST_LINES: Final = 20
_STOP_S: Final = 10.0
"""Beyond the grace that clients are given."""


def serve_command(topology_file: Path, name: str, data: Path, *more: str) -> list[str]:
    # -P: what lies in the current directory is not imported.
    python = [sys.executable, "-P", "-m", "kvorum"]
    which = ["--cluster", str(topology_file), "--node", name, "--data-dir", str(data)]
    return [*python, "serve", *which, "--stop-on-stdin-close", *more]


class NodeProcess:
    """`on_line` hears each line of the node's log."""

    def __init__(self, name: str, process: Process, on_line: Callable[[str], object]) -> None:
        self.name = name
        self._process = process
        self._is_ready = False
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._log = asyncio.create_task(self._read_log(on_line))

    @classmethod
    async def spawn(
        cls, name: str, command: Sequence[str], on_line: Callable[[str], object]
    ) -> NodeProcess:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if not k.startswith(SERVE_VARIABLES)},
        )
        return cls(name, process, on_line)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def ready(self) -> None:
        """Returns when the node takes requests. Raises ConfigError if it ended before."""
        assert self._process.stdout is not None
        if not await self._process.stdout.readline():
            await self.ended()
            raise ConfigError(f"{self.name} did not start: {self.last_words}")
        self._is_ready = True

    async def ended(self) -> int:
        """The exit status, negative for a signal; all of the log has been heard by then."""
        status = await self._process.wait()
        await self._log
        return status

    @property
    def last_words(self) -> str:
        """Why the process ended, as far as it said."""
        status = self._process.returncode
        if status is not None and status < 0:
            return f"ended by {signal.Signals(-status).name}"
        if status == 0:
            return "it was asked to stop by a signal from elsewhere, and stopped in order"
        return (
            self._lines[-1].removeprefix("error: ")
            if self._lines
            else f"ended with status {status} and no reason"
        )

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self, grace_s: float = 0.0) -> bool:
        """Ask it to stop, wait, and kill it if that takes too long. True if it stopped cleanly.

        `grace_s`: how long it lets clients turn to other nodes; 0 if these stop as well.
        """
        if self._is_ready and not grace_s and self._process.stdin is not None:
            self._process.stdin.close()
        else:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        try:
            async with asyncio.timeout(grace_s + _STOP_S):
                # A child that SIGTERM ends had not begun anything: it would have seen to it.
                return await self.ended() in (0, -signal.SIGTERM)
        except TimeoutError:
            self.kill()
            await self.ended()
            return False
        except asyncio.CancelledError:
            self.kill()
            raise

    async def _read_log(self, on_line: Callable[[str], object]) -> None:
        assert self._process.stderr is not None
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:  # over the reader's limit, which dropped it
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._lines.append(text)
            on_line(text)

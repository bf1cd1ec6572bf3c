"""The program `kvorum` as a child process: what it says, line by line, and how it ends."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kit.waiting import DEADLINE_S


class Program:
    """Lines of stdout are taken one by one; those of stderr are kept in `errors`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_output, args=(process.stdout,)),
            threading.Thread(target=self._read_errors, args=(process.stderr,)),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        """The next line of stdout."""
        line = self._lines.get(timeout=DEADLINE_S)
        assert line is not None, f"it ended instead: {self.errors}"
        return line

    def lines(self) -> Iterator[str]:
        """What is left of stdout, to its end."""
        while (line := self._lines.get(timeout=DEADLINE_S)) is not None:
            yield line

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close_stdin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def ended(self) -> int:
        status = self._process.wait(DEADLINE_S)
        for reader in self._readers:
            reader.join(DEADLINE_S)
        return status

    def stopped(self) -> int:
        """The exit status after SIGTERM."""
        self.send(signal.SIGTERM)
        return self.ended()

    def _read_output(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self, stream: IO[str]) -> None:
        with stream:
            self.errors.extend(line.rstrip("\n") for line in stream)


@contextmanager
def kvorum(*words: str | int | Path, **environ: str | Path) -> Iterator[Program]:
    """`kvorum words...`, killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "kvorum", *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **{name: str(value) for name, value in environ.items()}},
    ) as process:
        program = Program(process)
        try:
            yield program
        finally:
            process.kill()
            program.ended()


def refusal(*words: str | int | Path, **environ: str | Path) -> tuple[int, str]:
    """(exit status, the one line on stderr) of a command that ends by itself."""
    with kvorum(*words, **environ) as program:
        status = program.ended()
        assert len(program.errors) == 1, program.errors
        return status, program.errors[0]


def is_running(pid: int) -> bool:
    """False also for a process that has ended and that nobody has asked about yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"

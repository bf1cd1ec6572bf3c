"""A server as a child process: started, watched while it gets ready, and ended for certain."""

from __future__ import annotations

import http.client
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from kvorum.client.url import host_port
from kvorum.model.address import Address
from kvorum.model.errors import KvorumError

_READY_WITHIN_S: Final = 30.0
_STOP_WITHIN_S: Final = 15.0
_POLL_S: Final = 0.02


class Server:
    """`command`, its output in `log`, for the time of the `with` block."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = command
        self._log = log

    def __enter__(self) -> Server:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Raises KvorumError, with the end of the log, if the server ends or takes too long."""
        deadline = time.monotonic() + _READY_WITHIN_S
        while not ready():
            if self._process.poll() is not None:
                raise KvorumError(self._failure(f"ended with {self._process.returncode}"))
            if time.monotonic() > deadline:
                raise KvorumError(self._failure(f"was not ready within {_READY_WITHIN_S:.0f} s"))
            time.sleep(_POLL_S)

    def _failure(self, what: str) -> str:
        end = "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])
        return f"{' '.join(self._command)}\n{what}; the end of its output:\n{end}"


def answers(address: Address, path: str) -> bool:
    """True if GET `path` succeeds."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=2)
    try:
        connection.request("GET", path, headers={"Host": host_port(address)})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

"""Namespaces of Linux: a network or a view of the mounts that only some processes share.

They are held open by a child that waits on a pipe from this process and are gone with the
last process in them. So nothing is left behind on the machine, not even by a test that is
killed: no named namespaces, no mounts, no interfaces.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from kit.waiting import DEADLINE_S

_LIBC: Final = ctypes.CDLL(None, use_errno=True)

_OWN: Final = ("unshare", "--net", "--mount")


def _may_have_own() -> bool:
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    return subprocess.run([*_OWN, "true"], capture_output=True, check=False).returncode == 0


requires_namespaces = pytest.mark.skipif(
    not _may_have_own(), reason="namespaces of Linux need root, unshare and nsenter"
)


def requires_programs(*names: str) -> pytest.MarkDecorator:
    missing = [name for name in names if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


class Namespace:
    """The network and mount namespaces of the process `pid`."""

    def __init__(self, pid: int, worker: ThreadPoolExecutor) -> None:
        self.pid = pid
        self._worker = worker
        self.enter = ("nsenter", "--target", str(pid), "--net", "--mount")
        """The words before a command that run it in here."""

    def socket(self) -> socket.socket:
        """A TCP socket of this network, where it stays whichever thread uses it."""
        return self._worker.submit(socket.socket).result(DEADLINE_S)

    def path(self, inside: Path) -> Path:
        """The file `inside`, for processes outside."""
        return Path(f"/proc/{self.pid}/root") / inside.relative_to("/")

    def run(self, *words: str | Path) -> None:
        command = [*self.enter, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"

    @contextmanager
    def joined(self) -> Iterator[None]:
        """This thread, and the threads and processes it starts meanwhile, are on this network."""
        with open("/proc/thread-self/ns/net") as home:
            _join_network_of(self.pid)
            try:
                yield
            finally:
                _join_network(home.fileno())


@contextmanager
def own_namespace() -> Iterator[Namespace]:
    # Without a fork in between: the child's pid is that of the process in the namespaces.
    with subprocess.Popen(
        [*_OWN, "sh", "-c", "echo here && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"here\n"
        enter = partial(_join_network_of, holder.pid)
        try:
            with ThreadPoolExecutor(1, "chaos-namespace", enter) as worker:
                yield Namespace(holder.pid, worker)
        finally:
            holder.kill()


def _join_network_of(pid: int) -> None:
    """Move this thread, and those it starts, to the network of the process `pid`."""
    with open(f"/proc/{pid}/ns/net") as network:
        _join_network(network.fileno())


def _join_network(descriptor: int) -> None:
    if _LIBC.setns(descriptor, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")

"""Control of a cluster that runs: commands of other processes, at a socket in its directory.

    up.sock    a stream of JSON lines: one request, then how far it is, then how it ended

Whoever may write to the socket, the user that runs the cluster, may restart its nodes.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from kvorum.devcluster.cluster import LocalCluster
from kvorum.model.errors import ConfigError, KvorumError

_NAME: Final = "up.sock"
_PATH_BYTES_MAX: Final = 100
"""Of the address of a socket (unix(7)); some systems take a little more."""


class RollingRestart(msgspec.Struct, frozen=True):
    """Restart all nodes, one after another; `anyway`: also if some of them do not answer."""

    anyway: bool = False


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far it is, as a sentence."""

    text: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """It has ended; because of `error`, a sentence, if it did not succeed."""

    error: str = ""


_request: Final = msgspec.json.Decoder(RollingRestart)
_report: Final = msgspec.json.Decoder(Progress | Ended)
_encode: Final = msgspec.json.Encoder().encode


class Control:
    """Takes commands for `cluster` while `serve` runs."""

    def __init__(self, cluster: LocalCluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._busy = asyncio.Lock()

    async def serve(self) -> None:
        """Take commands until it is cancelled."""
        path = self._directory / _NAME
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        with _address(self._directory) as address:
            listening.bind(address)
        path.chmod(0o600)
        server = await asyncio.start_unix_server(self._on_client, sock=listening)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            path.unlink(missing_ok=True)

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def tell(report: Progress | Ended) -> None:
            writer.write(_encode(report) + b"\n")

        try:
            request = _request.decode(await reader.readline())
            if self._busy.locked():
                raise ConfigError("A rolling restart is under way already. Wait for its end.")
            async with self._busy:
                await self._cluster.restart_all(
                    lambda text: tell(Progress(text)), anyway=request.anyway
                )
            tell(Ended())
        except (KvorumError, msgspec.MsgspecError, ValueError) as error:
            tell(Ended(str(error)))
        finally:
            writer.close()


def restart_rolling(directory: Path, *, anyway: bool) -> Iterator[str]:
    """Have the nodes of the cluster that runs in `directory` restarted, one after another; yields
    how far it is. Raises ConfigError if no cluster runs there, or the restart fails."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            with _address(directory) as address:
                connection.connect(address)
        except OSError:
            raise ConfigError(
                f"No cluster is ready in {directory}. Start it with 'kvorum up --detach "
                f"--data-dir {directory}', or wait until it has started."
            ) from None
        connection.sendall(_encode(RollingRestart(anyway)) + b"\n")
        yield from _reports(connection)


def _reports(connection: socket.socket) -> Iterator[str]:
    with connection.makefile("rb") as lines, suppress(ConnectionError):
        for line in lines:
            report = _report.decode(line)
            if isinstance(report, Progress):
                yield report.text
            elif report.error:
                raise ConfigError(report.error)
            else:
                return
    raise ConfigError("The cluster was stopped before the rolling restart had ended.")


def is_ready(directory: Path) -> bool:
    """True if the cluster in `directory` has started, and takes commands."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            with _address(directory) as address:
                connection.connect(address)
        except OSError:
            return False
    return True


@contextmanager
def _address(directory: Path) -> Iterator[str]:
    """The socket in `directory` by a path that the system takes, however deep that lies."""
    path = str(directory / _NAME)
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield path
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{_NAME}"
    finally:
        os.close(descriptor)

"""Evidence: what is known of a cluster before it is judged. Every node is asked by itself.

status and snapshots    of each node, over HTTP
peer ports              whether this machine can connect to them
a data directory        room, and how long the disk takes to make a write durable
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from kvorum.cli.every_node import EveryNode
from kvorum.client.each_node import outcomes_of
from kvorum.client.requests import Request, status
from kvorum.documents.node import NodeDescription
from kvorum.documents.reading import read
from kvorum.documents.snapshot import SnapshotList
from kvorum.documents.status import Status
from kvorum.model.address import parse_address
from kvorum.model.errors import ConfigError, KvorumError

CONNECT_S: Final = 3.0
_SYNCS: Final = 20
_SYNC_BYTES: Final = 4096
_SNAPSHOTS: Final = Request("GET", "/snapshots")


class LocalDisk(msgspec.Struct, frozen=True, kw_only=True):
    """The disk of a data directory, measured here. `sync_ms`: half of the syncs took at most this;
    `slowest_ms`: all of them did.
    """

    directory: str
    free_bytes: int
    total_bytes: int
    sync_ms: float
    slowest_ms: float


class Evidence(msgspec.Struct, kw_only=True):
    """What is known. `nodes`: all of the cluster. `statuses` and `snapshots`: by name of the nodes
    that answered. `silent`: why the others did not. `closed`: nodes whose peer port cannot be
    connected to from here, and why. `now_ms`: since 1970.
    """

    nodes: list[NodeDescription]
    now_ms: int
    statuses: dict[str, Status] = {}
    snapshots: dict[str, SnapshotList] = {}
    silent: dict[str, str] = {}
    closed: dict[str, str] = {}
    disk: LocalDisk | None = None


async def gather(nodes: EveryNode, data_dir: Path | None) -> Evidence:
    """Ask all nodes, and look at `data_dir` if it is given. Raises ConfigError if that fails."""
    answers = await outcomes_of(nodes.names, lambda name: nodes.ask_one(name, status()))
    statuses = {
        name: read(answer, Status)
        for name, answer in answers.items()
        if not isinstance(answer, KvorumError)
    }
    silent = {
        name: answer.message for name, answer in answers.items() if isinstance(answer, KvorumError)
    }
    listed = await outcomes_of(statuses, lambda name: nodes.ask_one(name, _SNAPSHOTS))
    snapshots = {
        name: read(answer, SnapshotList)
        for name, answer in listed.items()
        if not isinstance(answer, KvorumError)
    }
    members = next(iter(statuses.values())).nodes if statuses else []
    return Evidence(
        nodes=list(members),
        now_ms=time.time_ns() // 1_000_000,
        statuses=statuses,
        snapshots=snapshots,
        silent=silent,
        closed=await _closed_ports(members),
        disk=None if data_dir is None else await asyncio.to_thread(measured, data_dir),
    )


async def _closed_ports(nodes: Iterable[NodeDescription]) -> dict[str, str]:
    async def why_closed(node: NodeDescription) -> tuple[str, str]:
        return node.name, await _connected(node.peer)

    found = await asyncio.gather(*(why_closed(node) for node in nodes if node.peer))
    return {name: why for name, why in found if why}


async def _connected(address: str) -> str:
    """Why no connection can be made; empty if one can."""
    host, port = parse_address(address)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), CONNECT_S)
    except TimeoutError:
        return f"no answer within {CONNECT_S:g} s"
    except OSError as error:
        return error.strerror or str(error)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ""


def measured(directory: Path) -> LocalDisk:
    """The disk of `directory`, where a file is written, synced and removed. Raises ConfigError."""
    try:
        times = _sync_times(directory)
        room = os.statvfs(directory)
    except OSError as error:
        raise ConfigError(
            f"The disk cannot be measured in {directory}: {error.strerror or error}. Name the data "
            "directory of a node on this machine, as a user that may write there."
        ) from error
    return LocalDisk(
        directory=str(directory),
        free_bytes=room.f_bavail * room.f_frsize,
        total_bytes=room.f_blocks * room.f_frsize,
        sync_ms=round(statistics.median(times) * 1000, 2),
        slowest_ms=round(max(times) * 1000, 2),
    )


def _sync_times(directory: Path) -> list[float]:
    """How many seconds each of some small writes took to be durable."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(_SYNCS):
            file.write(os.urandom(_SYNC_BYTES))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return times

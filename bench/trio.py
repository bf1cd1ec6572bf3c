"""Three nodes of kvorum as `kvorum up` starts them, to be killed, stopped and started again.

N=3, R=W=2, every write synced before it is answered. They end with the `async with` block,
and so does their data.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self

from system import NODES

from kvorum.client.asynchronous import AsyncClient
from kvorum.client.url import Target
from kvorum.devcluster.cluster import LocalCluster
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.model.address import parse_address
from kvorum.model.errors import KvorumError, UnavailableError

VICTIM: Final = NODES - 1
"""The node that dies. The others are the survivors."""
SURVIVORS: Final = tuple(node for node in range(NODES) if node != VICTIM)
_SETTLED_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.05
_TIMEOUT_S: Final = 30.0


class Trio:
    def __init__(self, work_dir: Path) -> None:
        self._directory = TemporaryDirectory(prefix="kvorum-", dir=work_dir)
        layout = Layout(Path(self._directory.name) / "data")
        self._topology = layout.create(local_topology(NODES, free_port(NODES)))
        self._layout = layout
        self._cluster = LocalCluster(
            layout, self._topology, lambda event: None, ["--log-level", "error"]
        )
        self.addresses = [parse_address(node.http) for node in self._topology.nodes]
        self.clients = [
            AsyncClient(Target(servers=(address,), timeout=_TIMEOUT_S))
            for address in self.addresses
        ]

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        try:
            for client in self.clients:
                await client.close()
            await self._cluster.stop()
        finally:
            self._directory.cleanup()

    async def start(self) -> None:
        """All three; returns when each sees the others up and answers for its copies."""
        await self._cluster.start()
        await self.until(self._settled, "three nodes that see each other", _SETTLED_WITHIN_S)

    async def stop(self) -> None:
        """All that run, cleanly."""
        await self._cluster.stop()

    async def kill(self) -> None:
        """SIGKILL to the victim."""
        await self._cluster.kill_node(self.name(VICTIM))

    async def restart(self) -> None:
        """The victim again; returns when it takes requests."""
        await self._cluster.start_node(self.name(VICTIM))

    def name(self, node: int) -> str:
        return self._topology.nodes[node].name

    def rocks(self, node: int) -> Path:
        """The engine's files of a node, for when it does not run."""
        return self._layout.node_directory(self.name(node)) / "rocks"

    async def status(self, node: int) -> dict[str, Any]:
        return await self.clients[node].status()

    async def until(
        self, condition: Callable[[], Awaitable[bool]], wanted: str, within_s: float
    ) -> None:
        """Raises KvorumError if `condition` does not come true in time."""
        deadline = time.monotonic() + within_s
        while not await condition():
            if time.monotonic() > deadline:
                raise KvorumError(f"Waited {within_s:.0f} s for {wanted}, in vain.")
            await asyncio.sleep(_POLL_S)

    async def survivors_notice(self) -> None:
        """Returns when the survivors hold the victim down."""
        await self.until(self._noticed, "the survivors to see the node down", _SETTLED_WITHIN_S)

    async def hints_owed(self) -> int:
        """To the victim, by the survivors."""
        statuses = await asyncio.gather(*map(self.status, SURVIVORS))
        return sum(status["nodes"][VICTIM]["hints_owed"] for status in statuses)

    async def victim_missed_more(self) -> bool:
        """Whether a survivor has given up noting one by one what the victim lacks."""
        statuses = await asyncio.gather(*map(self.status, SURVIVORS))
        return any(status["nodes"][VICTIM]["hints"]["missed_more"] for status in statuses)

    async def counters(self) -> list[dict[str, Any]]:
        """Of each node, what it has done for the others."""
        statuses = await asyncio.gather(*map(self.status, range(NODES)))
        return [{**s["counters"], "anti_entropy": s["anti_entropy"]} for s in statuses]

    async def _settled(self) -> bool:
        try:
            statuses = await asyncio.gather(*map(self.status, range(NODES)))
        except UnavailableError:
            return False
        return all(
            not status["recovering"] and all(node["up"] for node in status["nodes"])
            for status in statuses
        )

    async def _noticed(self) -> bool:
        statuses = await asyncio.gather(*map(self.status, SURVIVORS))
        return not any(status["nodes"][VICTIM]["up"] for status in statuses)

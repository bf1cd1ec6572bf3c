"""The nodes of a local cluster: started together, restarted when they die, stopped together.

A node that dies is started again after a pause, which doubles each time up to a bound and
is short again once a node has stayed up for a while. A node that cannot start at all while
the cluster does is another matter: something is wrong that repeating does not mend, so
`start` raises, and leaves it to the caller to `stop` the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import quote

from kvorum.devcluster.access import NodeAccess, Refused
from kvorum.devcluster.events import ClusterReady, Died, Listener, Ready, Said, Starting, Stopped
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.process import NodeProcess, serve_command
from kvorum.devcluster.wholeness import lacking, unanswering, wait_until_whole
from kvorum.model.errors import ConfigError
from kvorum.model.topology import NodeSpec, Topology
from kvorum.runtime.together import together

_PAUSE_FIRST_S: Final = 0.5
_PAUSE_MAX_S: Final = 10.0
_SETTLED_S: Final = 30.0
_WHOLE_S: Final = 120.0
STOP_GRACE_S: Final = 1.5


class LocalCluster:
    """A cluster whose nodes are child processes of this one."""

    def __init__(
        self,
        layout: Layout,
        topology: Topology,
        hear: Listener,
        options: Sequence[str] = (),
        grace_s: float = STOP_GRACE_S,
        access: NodeAccess | None = None,
    ) -> None:
        """`options` are further ones for `kvorum serve`, `grace_s` what its --stop-grace says.
        `access`: None to an open cluster.
        """
        self._layout = layout
        self._nodes = {node.name: node for node in topology.nodes}
        self._hear = hear
        self._options = (*options, "--stop-grace", str(grace_s))
        self._grace_s = grace_s
        self._access = access or NodeAccess()
        self._processes: dict[str, NodeProcess] = {}
        self._restarting: dict[str, asyncio.Event] = {}
        """The nodes that are stopped on purpose, until they are ready again."""

    async def start(self) -> None:
        """Returns when all nodes are ready. Raises ConfigError if one is not going to be."""
        began = time.monotonic()
        await together(self.start_node(name) for name in self._nodes)
        url = url_of(self._layout, self._nodes.values())
        self._hear(ClusterReady(url, _seconds_since(began)))

    async def start_node(self, name: str) -> None:
        """Returns when the node is ready. Raises ConfigError if it ended before."""
        began = time.monotonic()
        process = await NodeProcess.spawn(
            name, self._command(name), lambda line: self._hear(Said(name, line))
        )
        self._processes[name] = process
        self._hear(Starting(name, process.pid))
        await process.ready()
        node = self._nodes[name]
        self._hear(Ready(name, process.pid, node.http, node.peer, _seconds_since(began)))

    async def keep_running(self) -> None:
        """Start what dies, again and again; ends when it is cancelled."""
        await together(self._keep_node(name) for name in self._nodes)

    async def restart_all(self, tell: Callable[[str], object], *, anyway: bool = False) -> None:
        """Restart one node after another, each once the cluster is whole; `tell` hears how far it
        is. Raises ConfigError if that does not come about, or a node does not start again.

        `anyway`: also if nodes are down, and the cluster cannot become whole.
        """
        nodes = self._nodes.values()
        down = await unanswering(nodes, self._access)
        if down and not anyway:
            raise ConfigError(
                f"Nothing was restarted: {', '.join(down)} does not answer, and with one node more "
                "away requests would fail. Wait until it is back, or give --yes."
            )
        if not down:
            await self._until_whole(tell)
        for name in self._nodes:
            began = time.monotonic()
            tell(f"{name}: restarting")
            await self.restart_node(name)
            if not down:
                await self._until_whole(tell)
            tell(f"{name}: ready after {time.monotonic() - began:.1f} s")

    async def _until_whole(self, tell: Callable[[str], object]) -> None:
        nodes = self._nodes.values()
        try:
            await wait_until_whole(nodes, self._access, _WHOLE_S, tell)
        except TimeoutError:
            lack = await lacking(nodes, self._access)
            raise ConfigError(
                f"The rolling restart has ended early: after {_WHOLE_S:g} s the cluster is not "
                f"whole. {lack or ''} See the nodes' logs, and begin anew."
            ) from None
        except Refused as refused:
            raise ConfigError(
                f"It cannot be seen whether the cluster is whole, and no more node was restarted. "
                f"{refused}"
            ) from refused

    async def restart_node(self, name: str) -> None:
        """Stop the node as planned, and start it again; returns when it is ready. Raises
        ConfigError if it is not going to be."""
        self._restarting[name] = asyncio.Event()
        try:
            await self._stop_node(self._processes[name], self._grace_s)
            await self.start_node(name)
        finally:
            self._restarting.pop(name).set()

    async def kill_node(self, name: str) -> None:
        """SIGKILL; returns when the process is gone."""
        self._processes[name].kill()
        await self._processes[name].ended()

    async def stop(self) -> None:
        """Stop all nodes at once; each is killed if it takes too long."""
        await asyncio.gather(*map(self._stop_node, self._processes.values()))

    async def kill(self) -> None:
        """SIGKILL to all nodes; returns when they are gone."""
        await asyncio.gather(*map(self.kill_node, self._processes))

    async def _keep_node(self, name: str) -> None:
        pause = _PAUSE_FIRST_S
        while True:
            began = time.monotonic()
            process = self._processes[name]
            await process.ended()
            if name in self._restarting:
                await self._restarting[name].wait()
                if self._processes[name].running:
                    continue
            if time.monotonic() - began > _SETTLED_S:
                pause = _PAUSE_FIRST_S
            self._hear(Died(name, process.pid, process.last_words, pause))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSE_MAX_S)
            await self._start_again(name)

    async def _start_again(self, name: str) -> None:
        try:
            await self.start_node(name)
        except ConfigError:
            # It has ended, which `_keep_node` finds, and tells with the reason.
            return

    async def _stop_node(self, process: NodeProcess, grace_s: float = 0.0) -> None:
        if process.running:
            clean = await process.stop(grace_s)
            reason = "" if clean else process.last_words
            self._hear(Stopped(process.name, process.pid, clean, reason))

    def _command(self, name: str) -> list[str]:
        layout, data = self._layout, self._layout.node_directory(name)
        secure = ("--certs", str(layout.certificates), "--no-admin-token")
        options = (*self._options, *(secure if layout.is_secure else ()))
        return serve_command(layout.topology_file, name, data, *options)


def url_of(layout: Layout, nodes: Iterable[NodeSpec]) -> str:
    """Where clients find the cluster, and what they need to be let in."""
    servers = ",".join(node.http for node in nodes)
    if not layout.is_secure:
        return f"kvorum://{servers}"
    authority = quote(str((layout.certificates / "ca.crt").resolve()))
    return (
        f"kvorums://{servers}?ca={authority}&token_file={quote(str(layout.admin_token.resolve()))}"
    )


def _seconds_since(began: float) -> float:
    return round(time.monotonic() - began, 3)

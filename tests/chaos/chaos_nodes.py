"""A cluster of real processes: each node a child that runs `kvorum serve`, to be ill-treated.

What a node says goes to files beside its data directory, so that no pipe of a stopped
process fills and no thread is needed to empty it. A node holds the other end of a pipe from
this process and stops when that closes, so none outlives the tests; those that cannot
(stopped ones) are killed by their pid.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kit.waiting import DEADLINE_S, eventually

from kvorum import connect
from kvorum.client import node_requests
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.requests import Request
from kvorum.client.url import parse_url
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.devcluster.process import serve_command
from kvorum.model.errors import UnavailableError
from kvorum.model.topology import NodeSpec, Topology

_LAST_LINES: Final = 15


def asked(server: str, request: Request) -> dict[str, Any]:
    """What the node at `server` answers."""

    async def ask() -> dict[str, Any]:
        async with AsyncClient(parse_url(f"kvorum://{server}")) as client:
            return await client.ask(request)

    return asyncio.run(ask())


def _is_idle(node: ServedNode) -> bool:
    """No pass over its store is under way."""
    with connect(node.url) as client:
        return not client.status()["storage"]["scrub"]["running"]


class ServedNode:
    """One node, over all its lives. `within` are words before the command: where it runs."""

    def __init__(
        self, spec: NodeSpec, layout: Layout, within: Sequence[str], options: Sequence[str]
    ) -> None:
        self.spec = spec
        self.data_dir = layout.node_directory(spec.name)
        self.within = within
        self._command = serve_command(layout.topology_file, spec.name, self.data_dir, *options)
        self._output = layout.directory / f"{spec.name}.out"
        self._errors = layout.directory / f"{spec.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"kvorum://{spec.http}?timeout=5"

    def begin(self, *around: str) -> None:
        """Start it, without waiting. `around` are words before the command, for this life."""
        assert not self.running, f"{self.spec.name} runs already"
        with open(self._output, "wb") as output, open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                [*self.within, *around, *self._command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def await_ready(self) -> None:
        eventually(lambda: self.ready or not self.running, f"{self.spec.name} to be ready")
        assert self.ready, f"{self.spec.name} did not start: {self.log}"

    def start(self, *around: str) -> None:
        self.begin(*around)
        self.await_ready()

    @property
    def ready(self) -> bool:
        return b" ready: " in self._output.read_bytes()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What its present life, or its last, wrote to stderr."""
        return self._errors.read_text(errors="replace") if self._errors.exists() else ""

    def send(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL

    def stop(self) -> None:
        self.send(signal.SIGTERM)
        assert self.ended() == 0, self.log

    def ended(self) -> int:
        """The exit status, once there is one."""
        status = self._child.wait(DEADLINE_S)
        self._close_pipe()
        return status

    def end(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_S)
            self._close_pipe()

    @property
    def _child(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start it first"
        return self._process

    def _close_pipe(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()


class ServedCluster:
    """Its nodes are started by `with`; whatever still runs afterwards is killed."""

    def __init__(
        self,
        directory: Path,
        topology: Topology,
        within: Mapping[str, Sequence[str]] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """`within` names the place of each node: the words that run a command there."""
        self.layout = Layout(directory)
        self.topology = self.layout.create(topology)
        places = within or {}
        self.nodes = [
            ServedNode(spec, self.layout, places.get(spec.name, ()), options)
            for spec in self.topology.nodes
        ]
        servers = ",".join(node.spec.http for node in self.nodes)
        self.url = f"kvorum://{servers}?timeout=5"

    @classmethod
    def of(cls, nodes: int, directory: Path) -> Self:
        return cls(directory, local_topology(nodes, free_port(nodes)))

    def __enter__(self) -> Self:
        try:
            self.start(*self.nodes)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
        if error is not None:
            self._tell()

    def start(self, *nodes: ServedNode) -> None:
        """All of `nodes` at once; returns when they are ready."""
        for node in nodes:
            node.begin()
        for node in nodes:
            node.await_ready()

    def await_healed(self) -> None:
        """Every node reaches every other one and owes nobody a hint."""
        eventually(lambda: all(map(_is_healed, self.nodes)), "all nodes to heal")

    def await_filed(self) -> None:
        """What has been written is in the store, and no more in the journal, of every node."""
        for node in self.nodes:
            asked(node.spec.http, node_requests.scrub())
            eventually(partial(_is_idle, node), "a pass over the store to end")

    def await_seen_down(self, node: ServedNode, by: ServedNode) -> None:
        """`by` has found out that it cannot reach `node`."""
        name = node.spec.name
        eventually(
            lambda: any(seen["name"] == name and not seen["up"] for seen in _seen_by(by)),
            f"{by.spec.name} to find that {name} is down",
        )

    def _end(self) -> None:
        for node in self.nodes:
            node.end()

    def _tell(self) -> None:
        """What the nodes said, for whoever has to find out why a test failed."""
        for node in self.nodes:
            for line in node.log.splitlines()[-_LAST_LINES:]:
                print(f"{node.spec.name}: {line}", file=sys.stderr)


def _is_healed(node: ServedNode) -> bool:
    return all(seen["up"] and not seen["hints_owed"] for seen in _seen_by(node))


def _seen_by(node: ServedNode) -> list[dict[str, Any]]:
    """All nodes as `node` sees them; itself as down if it does not answer."""
    with connect(node.url) as client:
        try:
            seen: list[dict[str, Any]] = client.status()["nodes"]
        except UnavailableError:
            return [{"name": node.spec.name, "up": False}]
        return seen

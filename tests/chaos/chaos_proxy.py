"""A TCP proxy between the nodes of a cluster.

All nodes must agree on the address of each, so on one network no proxy can stand between
them. Here each node has a network of its own with nothing but a loopback, where it alone is
at home; in it the addresses of the other nodes are the proxy's.

          network of n1                                network of n2
    n1 ──> n2's address ──> proxy in this process ──> n2's address ──> n2

The proxy's sockets are made in those networks and served by one event loop in a thread.
Clients, in this process's network, reach the nodes' HTTP addresses in the same way.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from chaos_namespaces import Namespace
from chaos_roads import Road, join
from kit.waiting import DEADLINE_S

from kvorum.model.address import Address, parse_address
from kvorum.model.topology import Topology

CLIENTS: Final = "clients"

_T = TypeVar("_T")
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """`places` is where each node of `topology` is."""

    def __init__(self, topology: Topology, places: Mapping[str, Namespace]) -> None:
        self._topology = topology
        self._places = places
        self._roads: dict[tuple[str, str], Road] = {}
        self._joined: dict[tuple[str, str], set[asyncio.Task[Any]]] = {}
        self._servers: list[asyncio.Server] = []
        self._ending = asyncio.Event()
        self._loop: Future[asyncio.AbstractEventLoop] = Future()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._live_in_thread, name="chaos-proxy")
        thread.start()
        try:
            self._loop.result(DEADLINE_S)
            yield
        finally:
            self._run(self._end())
            thread.join(DEADLINE_S)
            assert not thread.is_alive(), "the proxy does not end"

    # What a test does with it, from its own thread

    def block(self, sender: str, recipient: str) -> None:
        """Let nothing through from one node to the other until `unblock`."""
        self._on_road(sender, recipient, Road.block)

    def unblock(self, sender: str, recipient: str) -> None:
        self._on_road(sender, recipient, Road.unblock)

    def slow_down(self, sender: str, recipient: str, delay_s: float, jitter_s: float) -> None:
        def slow_down(road: Road) -> None:
            road.delay_s, road.jitter_s = delay_s, jitter_s

        self._on_road(sender, recipient, slow_down)

    def sever(self, one: str, other: str) -> int:
        """Break the connections of two nodes; returns how many there were."""
        return self._run(self._sever(one, other))

    # In the loop's thread

    def _live_in_thread(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:
            if self._loop.done():
                raise
            self._loop.set_exception(error)

    async def _live(self) -> None:
        try:
            for node in self._topology.nodes:
                await self._listen(CLIENTS, node.name, socket.socket(), node.http)
                for other in self._topology.nodes:
                    if other is not node:
                        listener = self._places[node.name].socket()
                        await self._listen(node.name, other.name, listener, other.peer)
            self._loop.set_result(asyncio.get_running_loop())
            await self._ending.wait()
        finally:
            for server in self._servers:
                server.close()

    async def _end(self) -> None:
        self._ending.set()

    async def _sever(self, one: str, other: str) -> int:
        tasks = [*self._joined[one, other], *self._joined[other, one]]
        for task in tasks:
            task.cancel()
        return len(tasks)

    async def _listen(self, dialer: str, target: str, listener: socket.socket, text: str) -> None:
        """Join whoever connects to `listener` with `target`, which has the same address."""
        address = parse_address(text)
        place = self._places[target]
        there = self._roads.setdefault((dialer, target), Road())
        back = self._roads.setdefault((target, dialer), Road())
        tasks = self._joined.setdefault((dialer, target), set())

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                # Ended with the proxy, it ends well: a cancelled one would be called an error.
                with suppress(asyncio.CancelledError):
                    await bridge(reader, writer)
            finally:
                writer.close()

        async def bridge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if (far := await _dial(place, address)) is None:
                return
            task = asyncio.create_task(join((reader, writer), far, there, back))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.wait([task])

        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        self._servers.append(await asyncio.start_server(accept, sock=listener))

    def _on_road(self, sender: str, recipient: str, act: Callable[[Road], object]) -> None:
        async def do() -> None:
            act(self._roads[sender, recipient])

        self._run(do())

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        loop = self._loop.result(DEADLINE_S)
        return asyncio.run_coroutine_threadsafe(work, loop).result(DEADLINE_S)


async def _dial(place: Namespace, address: Address) -> _Streams | None:
    """A connection made inside `place`; None if nobody listens there."""
    sock = place.socket()
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
    except OSError:
        sock.close()
        return None
    return await asyncio.open_connection(sock=sock)

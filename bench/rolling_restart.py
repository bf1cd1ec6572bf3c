"""A rolling restart under load: how many requests end in an error, and how many with an unknown
outcome?

    python bench/rolling_restart.py --nodes 3 --clients 64

Half of the clients are Python clients, the other half plain HTTP/1.1 over kept-alive connections.
A plain client stays with one server until that says `Connection: close`, refuses the connection, or
answers 503 with the outcome "none"; then it goes on with the next. Each client reads and writes
keys at random, one request at a time. Every node is stopped by SIGTERM and started again, one after
another, as `kvorum restart --rolling` does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kvorum.client.asynchronous import AsyncClient, connect
from kvorum.devcluster.cluster import LocalCluster
from kvorum.devcluster.events import Event, Said
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.errors import KvorumError, NotFound
from kvorum.model.address import Address, parse_address

_KEYS = 2000
_TIMEOUT_S = 10.0


class Tally:
    """What became of the requests."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.turned: Counter[str] = Counter()
        """Requests that a plain client had to send to another server, though nothing failed."""
        self.slowest_s = 0.0

    def took(self, began: float) -> None:
        self.answered += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


async def python_client(client: AsyncClient, tally: Tally, over: asyncio.Event) -> None:
    rng = random.Random()
    while not over.is_set():
        key, began = f"k{rng.randrange(_KEYS)}", time.monotonic()
        try:
            if rng.random() < 0.5:
                await client.set(key, {"at": began})
            else:
                await client.get(key, default=None)
        except NotFound:
            tally.took(began)
        except KvorumError as error:
            into = tally.unknown if error.outcome == "unknown" else tally.failed
            into[f"python: {error.code}: {error.message}"] += 1
        else:
            tally.took(began)


class PlainClient:
    """HTTP/1.1 over one connection at a time."""

    def __init__(self, servers: Sequence[Address], home: int, tally: Tally) -> None:
        self._servers = servers
        self._at = home % len(servers)
        self._tally = tally
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, over: asyncio.Event) -> None:
        rng = random.Random()
        while not over.is_set():
            key, began = f"k{rng.randrange(_KEYS)}", time.monotonic()
            if rng.random() < 0.5:
                body = msgspec.json.encode({"key": key, "value": {"at": began}})
                await self._ask(b"POST", "/entry", body, began)
            else:
                await self._ask(b"GET", f"/entry/{key}", b"", began)
        self._leave()

    async def _ask(self, method: bytes, path: str, body: bytes, began: float) -> None:
        while time.monotonic() - began < _TIMEOUT_S:
            try:
                streams = self._streams or await self._connect()
            except OSError:
                self._turn("connection refused")
                await asyncio.sleep(0.01)
                continue
            try:
                status, closes, document = await self._exchange(streams, method, path, body)
            except (OSError, asyncio.IncompleteReadError) as error:
                self._turn(None)
                if method == b"POST":
                    self._tally.unknown[f"plain: {error!r}"] += 1
                    return
                self._tally.turned["a read met the end of its connection"] += 1
                continue
            if closes:
                self._turn(None)
            if status in (200, 201, 404):
                self._tally.took(began)
                return
            problem = msgspec.json.decode(document)
            outcome, code = problem.get("outcome", "none"), problem.get("code")
            if status == 503 and outcome == "none":
                self._turn(f"503 {code}: {problem.get('detail')}")
                await asyncio.sleep(0.01)
                continue
            into = self._tally.unknown if outcome == "unknown" else self._tally.failed
            into[f"plain: {status} {code}: {problem.get('detail')}"] += 1
            return
        self._tally.failed["plain: no answer in time"] += 1

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        server = self._servers[self._at]
        self._streams = await asyncio.open_connection(server.host, server.port)
        return self._streams

    async def _exchange(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        method: bytes,
        path: str,
        body: bytes,
    ) -> tuple[int, bool, bytes]:
        reader, writer = streams
        head = b"%b %b HTTP/1.1\r\nHost: localhost\r\n" % (method, path.encode())
        if body:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        writer.write(head + b"\r\n" + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines[1:] if line)
        document = await reader.readexactly(int(fields[b"content-length"]))
        return int(lines[0].split()[1]), fields.get(b"connection") == b"close", document

    def _turn(self, why: str | None) -> None:
        if why is not None:
            self._tally.turned[why] += 1
        self._leave()
        self._at = (self._at + 1) % len(self._servers)

    def _leave(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def restart(nodes: int, clients: int, rounds: int) -> Tally:
    """Restart all nodes, one after another, under the load of `clients`."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as directory:
        layout = Layout(Path(directory) / "cluster")
        topology = layout.create(local_topology(nodes, free_port(nodes)))
        cluster = LocalCluster(layout, topology, _hear, ["--log-level", "error"])
        try:
            await cluster.start()
            await _load(cluster, [node.http for node in topology.nodes], clients, rounds, tally)
        finally:
            await cluster.stop()
    return tally


async def _load(
    cluster: LocalCluster, servers: list[str], clients: int, rounds: int, tally: Tally
) -> None:
    over = asyncio.Event()
    url = "kvorum://" + ",".join(servers)
    python = [connect(url) for _ in range(clients // 2)]
    addresses = [parse_address(server) for server in servers]
    plain = [PlainClient(addresses, i, tally) for i in range(clients - len(python))]
    load = [asyncio.create_task(python_client(client, tally, over)) for client in python]
    load += [asyncio.create_task(client.run(over)) for client in plain]
    await asyncio.sleep(1.0)
    for _ in range(rounds):
        await cluster.restart_all(lambda line: print(" ", line, file=sys.stderr))
    await asyncio.sleep(1.0)
    over.set()
    await asyncio.gather(*load)
    for client in python:
        await client.close()


def _hear(event: Event) -> None:
    if isinstance(event, Said):
        print(f"  {event.node} | {event.line}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    tally = asyncio.run(restart(asked.nodes, asked.clients, asked.rounds))
    print(
        f"{asked.nodes} nodes, {asked.clients} clients, {time.monotonic() - began:.0f} s: "
        f"{tally.answered} answered, {sum(tally.failed.values())} failed, "
        f"{sum(tally.unknown.values())} unknown, the slowest took {tally.slowest_s:.2f} s"
    )
    for name, counts in (("failed", tally.failed), ("unknown", tally.unknown)):
        for reason, count in counts.most_common():
            print(f"  {name} {count} x {reason}")
    for reason, count in tally.turned.most_common():
        print(f"  plain clients turned to another server {count} x after {reason}")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

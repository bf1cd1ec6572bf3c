"""What happens in the demo, in order.

start       three nodes, each a process of its own; every entry lives on all three
import      the first edition, through n1
read back   every entry, through n2, compared byte for byte
one by one  a sample written and read in requests of one entry, for their latencies
update      the second edition, through all nodes; in the middle of it n3 is killed with
            SIGKILL, and reading goes on beside the writing
restart     n3, on the data it had
verify      every entry, through n3, compared byte for byte
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from kvorum.client.asynchronous import AsyncClient, connect
from kvorum.client.url import SCHEME
from kvorum.demo import characters
from kvorum.demo.audience import Audience
from kvorum.demo.characters import NamedCharacter
from kvorum.demo.ledger import Ledger
from kvorum.demo.report import Report
from kvorum.demo.requests import Item, ManyEntries, OneEntry
from kvorum.demo.traffic import Traffic
from kvorum.devcluster.cluster import LocalCluster
from kvorum.devcluster.events import Event, Ready, Said
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.ports import free_port, local_topology
from kvorum.model.errors import TimeoutExpired
from kvorum.model.topology import Topology
from kvorum.runtime.together import together

NODES: Final = 3
VICTIM: Final = "n3"

_KILL_AFTER: Final = 1 / 3
_SINGLE_ENTRIES: Final = 2_000
_READ_MEANWHILE: Final = 10_000
_START_S: Final = 30.0


async def play(directory: Path, named: Sequence[NamedCharacter], audience: Audience) -> Report:
    """The demo with its data in `directory`. The nodes have ended when it returns or raises."""
    layout = Layout(directory)
    topology = layout.create(local_topology(NODES, free_port(NODES)))
    cluster = LocalCluster(layout, topology, _Herald(audience).hear, ["--log-level", "error"])
    try:
        report = await _Story(cluster, topology, audience).run(named)
        await cluster.stop()
    finally:
        await cluster.kill()
    return report


class _Herald:
    """Tells the audience what nodes do."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience

    def hear(self, event: Event) -> None:
        match event:
            case Ready():
                self._audience.hear(
                    f"{event.node} ready at http://{event.http} "
                    f"(process {event.pid}, {event.seconds:.1f} s)"
                )
            case Said():
                self._audience.hear(f"{event.node}: {event.line}")


class _Story:
    def __init__(self, cluster: LocalCluster, topology: Topology, audience: Audience) -> None:
        self._cluster = cluster
        self._servers = {node.name: node.http for node in topology.nodes}
        self._audience = audience
        self._ledger = Ledger()
        self._stretches: list[Traffic] = []

    async def run(self, named: Sequence[NamedCharacter]) -> Report:
        began = time.monotonic()
        await _in_time(self._cluster.start(), "the three nodes to be ready")
        second = list(characters.second_edition(named).items())
        self._audience.hear(arithmetic(len(named)))
        await self._import(list(characters.first_edition(named).items()))
        await self._read("read via n2", "n2", self._ledger.keys)
        singly = min(_SINGLE_ENTRIES, len(second) // 2)
        await self._one_by_one(second[:singly])
        await self._update(second[singly:], [name for _, name in named])
        await _in_time(self._cluster.start_node(VICTIM), f"{VICTIM} to be ready again")
        await self._read(f"verify via {VICTIM}", VICTIM, self._ledger.keys)
        seconds = time.monotonic() - began
        return Report.of(characters.UNICODE_VERSION, self._ledger, self._stretches, seconds)

    async def _import(self, items: list[Item]) -> None:
        async with self._client("n1") as client:
            with self._stretch("import via n1", len(items)) as traffic:
                await traffic.write(ManyEntries(client), items, self._ledger)

    async def _read(self, title: str, server: str, keys: Collection[str]) -> None:
        async with self._client(server) as client:
            with self._stretch(title, len(keys)) as traffic:
                await traffic.read(ManyEntries(client), keys, self._ledger)

    async def _one_by_one(self, items: list[Item]) -> None:
        async with self._client("n1", "n2", "n3") as client:
            with self._stretch("write singly", len(items)) as traffic:
                await traffic.write(OneEntry(client), items, self._ledger)
            with self._stretch("read singly", len(items)) as traffic:
                await traffic.read(OneEntry(client), [key for key, _ in items], self._ledger)

    async def _update(self, items: list[Item], unchanged: list[str]) -> None:
        """Write `items`, kill a node on the way, and read keys that do not change meanwhile."""
        midway = asyncio.Event()
        some = random.sample(unchanged, min(_READ_MEANWHILE, len(unchanged)))
        async with self._client("n1", "n2", "n3") as client:
            with self._stretch("update", len(items)) as traffic:
                tripped = _with_tripwire(items, int(len(items) * _KILL_AFTER), midway)
                await together(
                    [
                        traffic.write(ManyEntries(client), tripped, self._ledger),
                        self._kill_and_read(midway, some),
                    ]
                )
        pause_ms = traffic.longest_silence_s * 1e3
        self._audience.hear(f"the longest pause in writing was {pause_ms:,.0f} ms")

    async def _kill_and_read(self, midway: asyncio.Event, keys: list[str]) -> None:
        await midway.wait()
        await self._cluster.kill_node(VICTIM)
        self._audience.hear(f"{VICTIM} killed (SIGKILL); writes and reads go on")
        survivors = [name for name in self._servers if name != VICTIM]
        async with self._client(*survivors) as client:
            with self._stretch(f"read without {VICTIM}", len(keys)) as traffic:
                await traffic.read(ManyEntries(client), keys, self._ledger)

    def _client(self, *names: str) -> AsyncClient:
        return connect(SCHEME + ",".join(self._servers[name] for name in names))

    @contextmanager
    def _stretch(self, title: str, entries: int) -> Iterator[Traffic]:
        traffic = Traffic(title, self._audience.begin(title, entries))
        self._stretches.append(traffic)
        yield traffic
        self._audience.end(traffic)


def arithmetic(named: int) -> str:
    """How many entries come of so many characters, in a sentence."""
    return (
        f"{named:,} characters of Unicode {characters.UNICODE_VERSION} have a name. Two entries of "
        f"each are imported, {2 * named:,} in all; the update replaces one of them and adds a "
        f"third: {characters.ENTRIES_OF_EACH * named:,}. Each entry is on all {NODES} nodes."
    )


def _with_tripwire(items: Iterable[Item], at: int, reached: asyncio.Event) -> Iterator[Item]:
    for place, item in enumerate(items):
        if place == at:
            reached.set()
        yield item
    reached.set()  # also if there are too few


async def _in_time(start: Coroutine[Any, Any, None], what: str) -> None:
    try:
        async with asyncio.timeout(_START_S):
            await start
    except TimeoutError as error:
        raise TimeoutExpired(f"Waited {_START_S:g} s for {what}, in vain.") from error

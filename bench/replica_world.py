"""Three whole replicators in this process, on simulated time, that count what they send.

Stores are in memory and all nodes own every key, so a million records fit. The network takes
`DELAY_S` for each message. Gossip is delivered but not counted: it flows whatever differs.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import KvorumError
from kvorum.model.keys import TOKEN_HASHES, storage_key
from kvorum.model.topology import DEFAULT_NAMESPACE, NamespaceSettings, NodeSpec, Topology
from kvorum.replication.replicator import Incarnation, Replicator
from kvorum.sim.scheduler import NodeRuntime, Scheduler
from kvorum.storage.memory import MemoryStore
from kvorum.storage.store import ignore
from kvorum.wire.batches import encode_batch
from kvorum.wire.frames import encode_frame
from kvorum.wire.messages import (
    GossipDelta,
    GossipDigest,
    Message,
    Ping,
    PingReport,
    PingRequest,
    Pong,
)

NODES: Final = 3
DELAY_S: Final = 0.0002
_GOSSIP: Final = (GossipDigest, GossipDelta, Ping, Pong, PingRequest, PingReport)
_EVENTS_MAX: Final = 1_000_000_000
_STEP_S: Final = 1.0


class World:
    def __init__(self) -> None:
        self.topology = Topology(
            cluster="bench",
            nodes=tuple(
                NodeSpec(name=f"n{i + 1}", http=f"127.0.0.1:{i + 1}", peer=f"127.0.0.1:{i + 501}")
                for i in range(NODES)
            ),
            namespaces={DEFAULT_NAMESPACE: NamespaceSettings.majority(NODES)},
        )
        self.scheduler = Scheduler(_EVENTS_MAX)
        self.runtimes = [
            NodeRuntime(self.scheduler, random.Random(node), 0) for node in range(NODES)
        ]
        self.stores = [MemoryStore(runtime) for runtime in self.runtimes]
        self.nodes: list[Replicator] = []
        self.bytes_sent: Counter[str] = Counter()

    def put(self, node: int, key: bytes, record: bytes) -> None:
        """Straight into the store of `node`."""
        self.stores[node].put(key, record, ignore, None)

    def start(self) -> None:
        self.nodes = [
            Replicator(
                ClusterView(self.topology, node), self.runtimes[node], _Line(self, node),
                self.stores[node], Incarnation((node + 1) << 20 | 1, 0),
            )
            for node in range(NODES)
        ]  # fmt: skip
        for replicator in self.nodes:
            replicator.start()

    def run_until(self, condition: Callable[[], bool], limit_s: float) -> float:
        """Simulated seconds until `condition` holds. Raises KvorumError after `limit_s`."""
        start = self.scheduler.now
        while not condition():
            if self.scheduler.now - start > limit_s:
                raise KvorumError(f"The replicas still differ after {limit_s:.0f} s.")
            self.scheduler.run_for(_STEP_S)
        return self.scheduler.now - start

    def post(self, sender: int, receiver: int, message: Message) -> None:
        if not isinstance(message, _GOSSIP):
            # Each in a frame of its own, which is the most it can cost.
            frame = encode_frame(self.topology.epoch, encode_batch([message]))
            self.bytes_sent[type(message).__name__] += len(frame)
        runtime = self.runtimes[receiver]
        runtime.call_later(DELAY_S, self.nodes[receiver].on_message, sender, message)


def place(name: str) -> bytes:
    """The storage key of `name`."""
    key = name.encode()
    return storage_key(TOKEN_HASHES["murmur3"](key, 0), DEFAULT_NAMESPACE, key)


class _Line:
    """The Transport of one node."""

    def __init__(self, world: World, node: int) -> None:
        self._world = world
        self._node = node

    def send(self, node: int, message: Message) -> None:
        self._world.post(self._node, node, message)

    def is_up(self, node: int) -> bool:
        return True

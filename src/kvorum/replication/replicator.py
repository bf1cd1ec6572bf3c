"""The replicator: a node's replication, put together on its ports.

It is what the real node and the simulator both build. Requests come in through `submit`,
messages through `on_message`; all of it runs on one thread, one callback at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvorum.model.errors import KvorumError
from kvorum.model.placement import Placement
from kvorum.model.request import Failure, Listing, Request, Result
from kvorum.model.topology import Topology
from kvorum.net.transport import Transport
from kvorum.replication.coordinator import Coordinator
from kvorum.replication.forward import ForwardReply
from kvorum.replication.hints import Hints
from kvorum.replication.locate import Held, LocateOperation
from kvorum.replication.replica import Replica
from kvorum.replication.scan import ScanOperation
from kvorum.replication.site import Place, Site
from kvorum.runtime.ports import Runtime
from kvorum.storage.store import Store
from kvorum.wire.messages import (
    Forward,
    Forwarded,
    Have,
    Message,
    Page,
    Read,
    Refused,
    Same,
    Scan,
    Standing,
    Write,
    Wrote,
)


class Replicator:
    def __init__(
        self,
        topology: Topology,
        placement: Placement,
        local: int,
        actor: int,
        counter: int,
        runtime: Runtime,
        store: Store,
        transport: Transport,
    ) -> None:
        self._site = Site(topology, placement, local, actor, counter, runtime, store, transport)
        self._hints = Hints(self._site)
        self._replica = Replica(self._site)
        self._coordinator = Coordinator(self._site, self._hints)
        self.submit: Callable[[Request, Callable[[Result], object]], None] = (
            self._coordinator.submit
        )
        self._handlers: dict[type, Callable[[int, Any], None]] = {
            Write: self._replica.on_write,
            Read: self._replica.on_read,
            Scan: self._replica.on_scan,
            Forward: self._on_forward,
            Standing: self._on_standing,
            Wrote: self._on_wrote,
            Same: self._on_same,
            Have: self._on_have,
            Page: self._on_page,
            Refused: self._on_refused,
            Forwarded: self._on_forwarded,
        }

    def start(self) -> None:
        """Greet every peer, so that links open and each side learns its standing."""
        for node in range(len(self._site.topology.nodes)):
            if node != self._site.local:
                self._hints.announce(node)

    def stop(self) -> None:
        """Let go of everything under way, so that the store can be closed."""
        self._hints.stop()
        self._site.operations.clear()
        self._site.deadlines.clear()
        self._site.speculation.clear()

    # For clients

    def scan(
        self,
        namespace: str,
        after: bytes,
        limit: int,
        reply: Callable[[Listing | Failure], object],
    ) -> None:
        """A page of live entries of `namespace` after the cursor `after`."""
        try:
            ScanOperation(self._site, self._replica, namespace, reply).start(after, limit)
        except KvorumError as error:
            self._site.runtime.call_soon(reply, Failure.of(error))

    def locate(self, namespace: str, key: str, reply: Callable[[Place, Held], object]) -> None:
        """What each owner of `key` holds. Raises NamespaceNotFound or InvalidKey."""
        place = self._site.place(namespace, key)
        LocateOperation(self._site, place, reply).start(place.settings.timeout_ms)

    @property
    def counter(self) -> int:
        """The last counter this node used."""
        return self._site.counter

    @property
    def under_way(self) -> int:
        return len(self._site.operations)

    def counters(self) -> dict[str, int]:
        return self._site.counters.as_dict()

    def hints_owed(self, node: int) -> int:
        return self._hints.owed(node)

    # From the network

    def on_message(self, node: int, message: Message) -> None:
        self._handlers[type(message)](node, message)

    def on_peer_up(self, node: int) -> None:
        self._hints.announce(node)

    def on_peer_lost(self, node: int) -> None:
        self._coordinator.on_peer_lost(node)
        for operation in list(self._site.operations.values()):
            operation.on_peer_lost(node)

    def _on_forward(self, node: int, message: Forward) -> None:
        reply = ForwardReply(self._site, node, message.op)
        self._coordinator.coordinate(message.request, reply.send)

    def _on_standing(self, node: int, message: Standing) -> None:
        self._coordinator.on_standing(node, message.behind)

    # Replies find their operation by number; one that has ended is no longer filed, and a
    # late or repeated reply to it means nothing.

    def _on_wrote(self, node: int, message: Wrote) -> None:
        operation = self._site.operations.get(message.op)
        if operation is not None:
            operation.on_wrote(node)

    def _on_same(self, node: int, message: Same) -> None:
        operation = self._site.operations.get(message.op)
        if operation is not None:
            operation.on_same(node)

    def _on_have(self, node: int, message: Have) -> None:
        operation = self._site.operations.get(message.op)
        if operation is not None:
            operation.on_have(node, message.record)

    def _on_page(self, node: int, message: Page) -> None:
        operation = self._site.operations.get(message.op)
        if operation is not None:
            operation.on_page(node, message)

    def _on_refused(self, node: int, message: Refused) -> None:
        operation = self._site.operations.get(message.op)
        if operation is not None:
            operation.on_refused(node)

    def _on_forwarded(self, node: int, message: Forwarded) -> None:
        operation = self._site.operations.get(message.op)
        if operation is not None:
            operation.on_forwarded(message.result)

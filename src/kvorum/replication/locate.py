"""Locating a key: which version each of its owners holds, without changing any of them."""

from __future__ import annotations

from collections.abc import Callable

from kvorum.model.errors import CorruptRecord
from kvorum.model.record import Record, decode
from kvorum.replication.expiry import visible
from kvorum.replication.site import Place, Site
from kvorum.wire.messages import Read

Held = dict[int, Record | None]
"""Per owner the record it holds (EMPTY if none); None where it did not answer soundly."""


class LocateOperation:
    __slots__ = ("_held", "_op", "_place", "_reply", "_site", "_waiting", "ended")

    def __init__(self, site: Site, place: Place, reply: Callable[[Place, Held], object]) -> None:
        self.ended = False
        self._site = site
        self._place = place
        self._reply = reply
        self._held: Held = dict.fromkeys(place.owners)
        self._waiting = set(place.owners)
        self._op = site.next_op()

    def start(self, timeout_ms: int) -> None:
        site = self._site
        site.operations[self._op] = self
        site.deadlines.watch(self, timeout_ms)
        for node in self._place.owners:
            if node == site.local:
                site.runtime.call_soon(self._read_own)
            elif site.is_up(node):
                site.transport.send(node, Read(self._op, self._place.key, b""))
            else:
                site.runtime.call_soon(self._settle, node)

    def _read_own(self) -> None:
        data = self._site.store.get(self._place.key)
        self.on_have(self._site.local, data or b"")

    def on_same(self, node: int) -> None:
        self.on_have(node, b"")

    def on_have(self, node: int, data: bytes) -> None:
        try:
            held = decode(self._place.key, data) if data else Record()
            self._held[node] = visible(held, self._site.clocks)
        except CorruptRecord:
            self._held[node] = None
        self._settle(node)

    def on_refused(self, node: int, code: str) -> None:
        self._settle(node)

    def on_peer_lost(self, node: int) -> None:
        if node in self._waiting:
            self._settle(node)

    def on_deadline(self) -> None:
        self._end()

    def _settle(self, node: int) -> None:
        self._waiting.discard(node)
        if not self._waiting:
            self._end()

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._site.operations.pop(self._op, None)
            self._reply(self._place, self._held)

"""The fast path: reads and blind writes of a node without peers, which its own record decides.

The coordinator asks replicas, counts their answers and watches deadlines. Where there is one
replica, this one, and nothing is wrong with it, all that comes to is: look the record up, and for a
write make the next one of it and store that. This does just that, with the same rules
(`replication/change.py`). Whatever is not as usual is left to the coordinator: a record that is
damaged or unverified, a store that has failed, is full or lags behind, the same value once more, a
request that is refused. By then nothing has been changed or counted, so it may begin from the
start.
"""

from __future__ import annotations

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import KvorumError, StorageError
from kvorum.model.record import EMPTY, Record, decode, encode
from kvorum.model.request import Answer, Put
from kvorum.replica.expiry import visible
from kvorum.replica.local_replica import LocalReplica
from kvorum.replication.change import SIBLING_BOUNDS, Changes, holds_just
from kvorum.replication.replicator import Replicator


class Storing:
    """A write under way. `ended` says whether it is over, `failed` whether it is not durable."""

    __slots__ = ("answer", "ended", "failed")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.ended = False
        self.failed = False

    def end(self, error: StorageError | None) -> None:
        self.ended = True
        self.failed = error is not None


class FastPath:
    """Of one node, the only one of its cluster. Both methods return None for "ask the
    coordinator".
    """

    __slots__ = ("_changes", "_clocks", "_replica", "_view")

    def __init__(self, view: ClusterView, replicator: Replicator) -> None:
        self._view = view
        self._replica: LocalReplica = replicator.owner.replica
        self._clocks = replicator.clocks
        self._changes = Changes(self._replica, self._clocks, SIBLING_BOUNDS)

    def read(self, namespace: str, key: str) -> Record | None:
        """The record of `key` as a client may see it: without versions if there are none."""
        replica = self._replica
        if replica.recovering or replica.unverified.tokens:
            return None
        try:
            storage_key = self._view.place(namespace, key).key
            data = replica.store.get(storage_key)
            record = decode(storage_key, data) if data else EMPTY
        except KvorumError:
            return None
        replica.counters.reads += 1
        return visible(record, self._clocks)

    def write(self, put: Put) -> Storing | None:
        """Begin to store a blind write; it has ended when the runtime has had its turn."""
        replica = self._replica
        if replica.recovering or replica.unverified.tokens:
            return None
        try:
            place = self._view.place(put.namespace, put.key)
            if place.settings.durability == "none":
                return None
            key = place.key
            replica.check_pressure(key)
            held = replica.store.get(key) or b""
            base = replica.unshredded(key, decode(key, held)) if held else EMPTY
            if holds_just(base, put):
                return None
            record, answer = self._changes.apply(put, place, base)
        except KvorumError:
            return None
        replica.counters.writes += 1
        storing = Storing(answer)
        replica.put(key, held, encode(key, record), Storing.end, storing)
        return storing

"""A read: ask R replicas for their record of a key, merge what differs, repair.

The asker reads its own replica first and sends the digest of what it found; a replica with the same
record answers `Same`, so a value that all agree on crosses no wire. Answers that differ are merged
and the merged record, never a blind put, goes to the replicas that lack it. When a replica is slow,
a spare one is asked too (a speculative read); when one is lost, a spare takes its place. A replica
without the record answers "absent", which is an answer but not a version: it can neither win over
nor hide a version that another one has.

Where the preference list goes on beyond the owners (a sloppy quorum), the nodes after them
are asked too, but only for owners that cannot be reached: they may hold what was handed to
them. They are never repaired; what they hold reaches the owners as hints.

Expired versions are hidden from a client (`GetOperation`), and from nothing else: repair sends on
the records that replicas have, and leaves it to each of them to remove what has expired
(`replica/expiry.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.cluster.view import ClusterView, Place
from kvorum.model.errors import CorruptRecord, StorageError, TimeoutExpired
from kvorum.model.record import EMPTY, Record, decode, digest, encode, merge
from kvorum.model.request import Answer, Failure, Result
from kvorum.operations.operations import Operations
from kvorum.replica.expiry import visible
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import COLD, ignore
from kvorum.wire.messages import Have, Read, Refused, Reply, Same, Write

_SAMPLED: Final = 7
_FEW: Final = 8
"""Of eight reads one is timed, and each while no more than so many operations are under way."""


class ReadOperation:
    """A read of one key from R of its replicas. This node's own is one of them where it has one."""

    __slots__ = (
        "_asked",
        "_began",
        "_damaged",
        "_data",
        "_failed",
        "_needed",
        "_op",
        "_operations",
        "_place",
        "_record",
        "_replica",
        "_replies",
        "_reply",
        "_rest_ms",
        "_same",
        "_view",
        "ended",
    )

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica | None,
        operations: Operations,
        place: Place,
        needed: int,
        reply: Callable[[Result], object],
    ) -> None:
        self.ended = False
        self._view = view
        self._replica = replica
        self._operations = operations
        self._place = place
        self._needed = needed
        self._reply = reply
        self._op = 0
        self._began = 0.0
        self._rest_ms = 0
        self._asked: list[int] = []
        # Few reads have any of these.
        self._failed: tuple[int, ...] = ()
        # Replicas that found their own record damaged: the merged one is to replace it.
        self._damaged: tuple[int, ...] = ()
        # What this replica has, and which nodes confirmed to have the same.
        self._data = b""
        self._record = EMPTY
        self._same: list[int] = []
        # Records that differ from it, by replica.
        self._replies: dict[int, bytes] = {}

    def start(self, timeout_ms: int) -> None:
        """Ask R replicas, and reply within `timeout_ms`."""
        place, local, replica = self._place, self._view.local, self._replica
        self._operations.counters.reads += 1
        self._rest_ms = timeout_ms
        if replica is not None and (local in place.replicas.natural or self._stands_in(local)):
            self._asked.append(local)
            if replica.recovering:
                self._failed += (local,)
            else:
                try:
                    found = replica.store.find(place.key, self._on_fetched, replica)
                    if found is COLD:
                        return
                    self._take_own(replica, found)
                except StorageError as error:
                    self._lack_own(error)
        self._ask()

    def _on_fetched(self, replica: LocalReplica) -> None:
        try:
            self._take_own(replica, replica.store.get(self._place.key))
        except StorageError as error:
            self._lack_own(error)
        self._ask()

    def _take_own(self, replica: LocalReplica, found: bytes | None) -> None:
        """Take this replica's record. Raises CorruptRecord if it is damaged or its token
        unverified.
        """
        key = self._place.key
        if replica.unverified.tokens:
            replica.check_verified(key)
        self._record = replica.decoded(key, found)
        self._data = found or b""
        self._same.append(self._view.local)

    def _lack_own(self, error: StorageError) -> None:
        self._failed += (self._view.local,)
        if error.code == CorruptRecord.code:
            self._damaged += (self._view.local,)

    def _ask(self) -> None:
        """Ask as many others as are needed."""
        place, operations = self._place, self._operations
        if len(self._same) >= self._needed:
            operations.runtime.call_soon(self._finish)
            return
        self._op = operations.next_op()
        operations.table[self._op] = self
        if self._op & _SAMPLED == 0 or len(operations.table) <= _FEW:
            self._began = operations.runtime.now()
        missing = self._needed - len(self._asked) + len(self._failed)
        while missing > 0 and self._ask_another(place.replicas.preference):
            missing -= 1
        if missing > 0 and self._is_hopeless():
            operations.runtime.call_soon(self._give_up)
            return
        delay_ms = operations.speculation.delay_ms
        if self._rest_ms > delay_ms:
            # Hardly any read is slow, so only those that are get a deadline besides.
            self._rest_ms -= delay_ms
            operations.speculation.watch(self, delay_ms)
        else:
            operations.deadlines.watch(self, self._rest_ms)

    @property
    def key(self) -> bytes:
        """The storage key."""
        return self._place.key

    def _stands_in(self, node: int) -> bool:
        """True if `node` is on the preference list and some owner is away."""
        place, is_up = self._place, self._operations.is_up
        return node in place.replicas.preference and not all(map(is_up, place.replicas.natural))

    def _ask_another(self, among: tuple[int, ...]) -> bool:
        """Ask the next of these nodes that has not been asked; False if none is left."""
        operations = self._operations
        for node in among:
            if node not in self._asked and operations.is_up(node):
                self._asked.append(node)
                if self._replica is not None and node == self._view.local:
                    operations.runtime.call_soon(self._answer_myself, self._replica)
                else:
                    message = Read(self._op, self._place.key, digest(self._data))
                    operations.transport.send(node, message)
                return True
        return False

    def _answer_myself(self, replica: LocalReplica) -> None:
        """This node is no owner, and is asked in the place of one that went away during
        the read.
        """
        try:
            replica.check_verified(self._place.key)
            data = replica.read_bytes(self._place.key)
        except StorageError as error:
            self._on_refused(self._view.local, error.code)
        else:
            self._on_have(self._view.local, data)

    # Replies

    def on_reply(self, node: int, message: Reply) -> None:
        if type(message) is Same:
            if self._is_news(node):
                self._same.append(node)
                self._settle()
        elif isinstance(message, Have):
            self._on_have(node, message.record)
        elif isinstance(message, Refused):
            self._on_refused(node, message.code)

    def _on_have(self, node: int, data: bytes) -> None:
        if self._is_news(node):
            if data == self._data:
                self._same.append(node)
            else:
                self._replies[node] = data
            self._settle()

    def _on_refused(self, node: int, code: str) -> None:
        if code == CorruptRecord.code and self._is_news(node):
            self._damaged += (node,)
        self._lose(node)

    def on_peer_lost(self, node: int) -> None:
        if node in self._asked and self._is_news(node):
            self._lose(node)

    def on_slow(self) -> None:
        """No quorum within the usual time: ask a spare replica as well."""
        if self.ended:
            return
        operations = self._operations
        operations.deadlines.watch(self, self._rest_ms)
        if not operations.speculation.spend(operations.counters.reads):
            return
        if self._ask_another(self._place.replicas.natural):
            operations.counters.speculative_reads += 1

    def on_deadline(self) -> None:
        if not self.ended:
            self._operations.counters.timeouts += 1
            got = self._answered()
            error = TimeoutExpired(
                f"{len(got)} of {self._needed} replicas needed to read the key answered before the "
                "deadline. Retry, or ask with a longer timeout or a lower quorum.",
                needed=self._needed,
                got=len(got),
                replicas=self._view.names(self._place.replicas.natural),
            )
            self._end(Failure.of(error))

    def _is_news(self, node: int) -> bool:
        return not (
            self.ended or node in self._same or node in self._replies or node in self._failed
        )

    def _answered(self) -> list[int]:
        return self._same + list(self._replies)

    def _lose(self, node: int) -> None:
        if not self._is_news(node):
            return
        self._failed += (node,)
        if not self._ask_another(self._place.replicas.preference) and self._is_hopeless():
            self._give_up()

    def _is_hopeless(self) -> bool:
        """True if R replicas will not answer; where one is damaged, once all others have."""
        if len(self._asked) - len(self._failed) >= self._needed:
            return False  # So many have answered, or still may.
        return not self._damaged or not any(map(self._is_news, self._asked))

    def _settle(self) -> None:
        if len(self._same) + len(self._replies) >= self._needed:
            if self._began:
                self._sample()
            self._finish()
        elif self._is_hopeless():
            self._give_up()

    def _sample(self) -> None:
        operations = self._operations
        elapsed_ms = (operations.runtime.now() - self._began) * 1000
        operations.speculation.sample(elapsed_ms)
        operations.pace.sample(elapsed_ms)

    # Ends

    def _give_up(self) -> None:
        if not self.ended:
            # Those that have answered or could, as a write counts those that are up.
            got = [node for node in self._asked if node not in self._failed]
            error = self._view.too_few("read from", self._needed, got, self._place.replicas.natural)
            self._end(Failure.of(error))
            if self._damaged:
                # What the others have, few as they are, is better than damage. A merge never harms.
                self._repair(self._merged())

    def _finish(self) -> None:
        agreed = not self._replies and not self._failed  # nor damaged: those have failed too
        record = self._record if agreed else self._merged()
        hinted = self._hinted() if self._place.replicas.fallbacks else 0
        self.ended = True
        self._operations.table.pop(self._op, None)
        self._reply(Answer(self._shown(record), hinted=hinted))
        if not agreed:
            self._repair(record)

    def _shown(self, record: Record) -> Record:
        """The part of `record` that the asker may see: all of it."""
        return record

    def _hinted(self) -> int:
        """How many answers are from nodes that stand in for owners."""
        return sum(node not in self._place.replicas.natural for node in self._answered())

    def _merged(self) -> Record:
        merged = self._record
        for node, data in list(self._replies.items()):
            if not data:
                continue
            try:
                record = decode(self._place.key, data)
            except CorruptRecord:
                # Damaged on that replica or on the way: it counts as one that needs repair.
                self._operations.counters.corrupt_records += 1
                self._replies[node] = b""
            else:
                if self._replica is not None:
                    self._replica.authorship.disowns(record)  # which only notes it
                    record = self._replica.unshredded(self._place.key, record)
                merged = merge(merged, record)
        return merged

    def _repair(self, merged: Record) -> None:
        """Give the merged record to every replica whose answer was another one."""
        if not merged.context:
            return
        key, replica, local = self._place.key, self._replica, self._view.local
        data = encode(key, merged)
        stale = [node for node, held in self._replies.items() if held != data]
        if data != self._data:
            stale += self._same
        stale += self._damaged
        if replica is not None and replica.recovering and local in self._failed:
            stale.append(local)
        for node in stale:
            if node not in self._place.replicas.natural:
                continue
            self._operations.counters.repairs += 1
            if replica is not None and node == local:
                replica.merge_in(key, data, ignore, None)
            else:
                self._operations.transport.send(node, Write(0, key, data))

    def _end(self, result: Result) -> None:
        self._close()
        self._reply(result)

    def _close(self) -> None:
        self.ended = True
        self._operations.table.pop(self._op, None)


class BaseRead(ReadOperation):
    """The read before a write that may replace whatever there is.

    Where so many owners have damaged records that no quorum is left, and all others have
    answered, `on_damaged` is called in the place of `reply`, with what is left.
    """

    __slots__ = ("_on_damaged",)

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica | None,
        operations: Operations,
        place: Place,
        needed: int,
        reply: Callable[[Result], object],
        on_damaged: Callable[[Answer], object],
    ) -> None:
        super().__init__(view, replica, operations, place, needed, reply)
        self._on_damaged = on_damaged

    def _give_up(self) -> None:
        said = (*self._same, *self._replies, *self._damaged)
        owners = self._place.replicas.natural
        if not self.ended and self._damaged and all(node in said for node in owners):
            self._close()
            self._on_damaged(Answer(self._merged()))
        else:
            super()._give_up()


class GetOperation(ReadOperation):
    """A client's read."""

    __slots__ = ()

    def _shown(self, record: Record) -> Record:
        return visible(record, self._operations.clocks)

"""The replica server: carries out what coordinators ask of this node's own copy."""

from __future__ import annotations

from kvorum.cluster.view import ClusterView
from kvorum.handoff.hints import Hints
from kvorum.model.errors import (
    DiskFull,
    KvorumError,
    NamespaceNotFound,
    Overloaded,
    ProtocolError,
    StorageError,
    UnavailableError,
)
from kvorum.model.keys import is_range_start, is_record_key, namespace_of
from kvorum.model.record import digest, is_sound
from kvorum.operations.operations import Operations
from kvorum.replica.local_replica import LocalReplica
from kvorum.replica.pages import read_selected
from kvorum.replica.tombstones import is_tombstone
from kvorum.replication.agreement import STEP_RECORDS, agrees
from kvorum.storage.store import COLD, ignore
from kvorum.wire.frames import FRAME_BYTES_MAX
from kvorum.wire.messages import (
    Coming,
    Fetch,
    Handoff,
    Have,
    Page,
    Read,
    Refused,
    Same,
    Scan,
    Write,
    Wrote,
)


class ReplicaServer:
    """Answers the messages of coordinators from this node's replica."""

    __slots__ = ("_hints", "_operations", "_replica", "_view")

    def __init__(
        self, view: ClusterView, replica: LocalReplica, operations: Operations, hints: Hints
    ) -> None:
        self._view = view
        self._replica = replica
        self._operations = operations
        self._hints = hints

    def on_write(self, node: int, message: Write) -> None:
        """Merge the record in, and acknowledge it once it is durable here."""
        if not is_record_key(message.key):
            raise _not_a_record(message.key)
        try:
            held = self._replica.find_held(message.key, self._write_fetched, (node, message))
        except StorageError as error:
            self._refuse(node, message.op, error)
        else:
            if held is not COLD:
                self._write(node, message, held)

    def _write_fetched(self, asked: tuple[int, Write]) -> None:
        node, message = asked
        try:
            held = self._replica.held(message.key)
        except StorageError as error:
            self._refuse(node, message.op, error)
        else:
            self._write(node, message, held)

    def _write(self, node: int, message: Write, held: bytes) -> None:
        key, record = message.key, message.record
        try:
            self._replica.check_pressure(key)
        except Overloaded as error:
            self._refuse(node, message.op, error)
            return
        if message.base == digest(held) and (held or self._view.knows(key)):
            self._replica.put(key, held, record, self._on_durable, (node, message.op))
            return
        if not self._view.knows(key):
            self._refuse(node, message.op, _unknown_namespace(key))
            return
        self._replica.merge_into(key, held, record, self._on_durable, (node, message.op))
        if message.anew:
            self._replica.unverified.renew(key)

    def on_handoff(self, node: int, message: Handoff) -> None:
        """Merge the record in, in the place of an owner that is away, and add a hint for that
        owner.
        """
        key = message.key
        _check_record_key(key)
        if message.owner not in self._view.owners_of(key) or message.owner == self._view.local:
            raise ProtocolError(
                f"Node {message.owner}, in whose place a record is to be kept, is no other owner "
                "of its key. The cluster files of the nodes differ: give all of them the same one."
            )
        if not is_sound(key, message.record):
            self._refuse(node, message.op, StorageError("The record was damaged on its way."))
        elif self._replica.is_warm(key, self._take_over, (node, message)):
            self._take_over((node, message))

    def _take_over(self, asked: tuple[int, Handoff]) -> None:
        node, message = asked
        key = message.key
        try:
            self._replica.check_pressure(key)
            if not is_tombstone(key, message.record):
                self._replica.check_room(key)
            self._hints.keep(message.owner, key, len(message.record), ignore, None)
        except (DiskFull, Overloaded) as error:
            self._refuse(node, message.op, error)
            return
        # One log, in order: once the record is durable the hint is too. And not the other way
        # round: where the record cannot be merged in, there is nothing to acknowledge.
        self._replica.merge_in(key, message.record, self._on_durable, (node, message.op))

    def _on_durable(self, asker: tuple[int, int], error: StorageError | None) -> None:
        node, op = asker
        if error is not None:
            self._refuse(node, op, error)
        elif op:
            self._operations.transport.send(node, Wrote(op))

    def on_read(self, node: int, message: Read) -> None:
        """Send the record, or say that it has the digest that was given, or why it cannot
        be read.
        """
        key = message.key
        if not is_record_key(key):
            raise _not_a_record(key)
        if self._replica.recovering or not self._view.knows(key):
            self._refuse(node, message.op, self._why_silent(key))
            return
        try:
            found = self._replica.store.find(key, self._on_fetched, (node, message))
            if found is not COLD:
                self._answer(node, message, found)
        except StorageError as error:
            self._refuse(node, message.op, error)

    def _why_silent(self, key: bytes) -> KvorumError:
        return _recovering() if self._replica.recovering else _unknown_namespace(key)

    def _on_fetched(self, asked: tuple[int, Read]) -> None:
        node, message = asked
        try:
            self._answer(node, message, self._replica.store.get(message.key))
        except StorageError as error:
            self._refuse(node, message.op, error)

    def _answer(self, node: int, message: Read, found: bytes | None) -> None:
        if self._replica.unverified.tokens:
            self._replica.check_verified(message.key)
        self._give(node, message, self._replica.sound(message.key, found))

    def _give(self, node: int, message: Read | Fetch, data: bytes) -> None:
        transport = self._operations.transport
        if digest(data) == message.digest:
            transport.send(node, Same(message.op))
            return
        if len(data) > FRAME_BYTES_MAX:
            transport.send(node, Coming(message.op, len(data)))
        transport.send(node, Have(message.op, data))

    def on_fetch(self, node: int, message: Fetch) -> None:
        """As `on_read`, for anti-entropy: the record is sent also if its token is unverified."""
        _check_record_key(message.key)
        if self._replica.is_warm(message.key, self._hand_out, (node, message)):
            self._hand_out((node, message))

    def _hand_out(self, asked: tuple[int, Fetch]) -> None:
        node, message = asked
        try:
            data = self._replica.read_bytes(message.key)
        except StorageError as error:
            self._refuse(node, message.op, error)
        else:
            self._give(node, message, data)

    def on_scan(self, node: int, message: Scan) -> None:
        """Send the next records of a range, or that they are the same as the asker's."""
        if not is_range_start(message.start):
            raise ProtocolError(f"No range of records begins at {message.start[:9]!r}.")
        if self._replica.recovering and message.limit:
            self._refuse(node, message.op, _recovering())
            return
        start, end = message.start, message.end
        try:
            if message.hash and agrees(self._replica, message):
                self._operations.transport.send(node, Same(message.op))
                return
            limit = min(message.limit, STEP_RECORDS)
            page = read_selected(self._replica, start, end, limit, message.wanted)
        except StorageError as error:
            self._refuse(node, message.op, error)
        else:
            self._operations.transport.send(node, Page(message.op, *page))

    def _refuse(self, node: int, op: int, error: KvorumError) -> None:
        if op:
            self._operations.transport.send(node, Refused(op, error.code, error.message))


def _recovering() -> UnavailableError:
    return UnavailableError("This replica is recovering from an empty disk.")


def _unknown_namespace(key: bytes) -> NamespaceNotFound:
    name = namespace_of(key).decode()
    return NamespaceNotFound(f"This node has no namespace {name!r}.")


def _check_record_key(key: bytes) -> None:
    if not is_record_key(key):
        raise _not_a_record(key)


def _not_a_record(key: bytes) -> ProtocolError:
    return ProtocolError(f"{key[:9]!r} does not begin the storage key of a record.")

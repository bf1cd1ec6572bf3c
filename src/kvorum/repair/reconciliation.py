"""A reconciliation: one key whose records differ on this node and another is made equal on both.

    the other has it     fetch its record and merge it in here; if that gives another record than
                         the other's, send the merged one back
    the other lacks it   send it; also where it turns out that the other's is damaged

Each takes what the other holds, also if its token is unverified there (`shortfall.py` says why that
is right). The key counts as equal when what each was given is durable there, and not before: where
something cannot be fetched, sent or stored they stay different, and are tried again with the next
exchange.

Records are only ever merged, so it does no harm if the key has changed meanwhile, or if another
pair of replicas does the same.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.links.transport import transfer_ms
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.record import digest
from kvorum.operations.operations import Operations
from kvorum.operations.question import TIMEOUT_MS, Question
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Fetch, Have, Message, Refused, Same, Write, Wrote


class Reconciliation:
    """Makes one key equal on this node and another; ends with `then(reconciliation, equal)`."""

    __slots__ = ("_key", "_node", "_operations", "_replica", "_theirs", "_then", "size", "stopped")

    def __init__(
        self,
        replica: LocalReplica,
        operations: Operations,
        node: int,
        key: bytes,
        theirs: bytes,
        then: Callable[[Reconciliation, bool], object],
    ) -> None:
        """`theirs`: the digest of the other node's record; empty if it has none that is sound."""
        self.size = 0
        """Bytes of records that went over the wire."""
        self.stopped = False
        """Set to have nothing more happen; a write may still be on its way to the disk."""
        self._replica = replica
        self._operations = operations
        self._node = node
        self._key = key
        self._theirs = theirs
        self._then = then

    def start(self) -> None:
        if self._theirs:
            own = digest(self._own())
            question = Question(self._operations, self._node, self._on_fetched)
            question.ask(Fetch(question.op, self._key, own))
        else:
            self._give()

    def _own(self) -> bytes:
        """This node's record; empty if there is none or it is not sound."""
        try:
            return self._replica.read_bytes(self._key)
        except StorageError:
            return b""

    def _on_fetched(self, reply: Message | None) -> None:
        if isinstance(reply, Same):
            self._then(self, True)
        elif isinstance(reply, Have) and reply.record:
            self._theirs = digest(reply.record)
            self.size += len(reply.record)
            self._replica.merge_in(self._key, reply.record, self._on_merged, None)
        elif isinstance(reply, Refused) and reply.code == CorruptRecord.code:
            self._give()
        else:
            self._then(self, False)

    def _on_merged(self, _arg: object, error: StorageError | None) -> None:
        if self.stopped:
            return
        if error is not None:
            self._then(self, False)
        elif digest(self._own()) == self._theirs:
            self._then(self, True)
        else:
            self._give()

    def _give(self) -> None:
        data = self._own()
        if not data:
            self._operations.runtime.call_soon(self._then, self, False)
            return
        self.size += len(data)
        question = Question(self._operations, self._node, self._on_given)
        timeout_ms = TIMEOUT_MS + transfer_ms(len(data))
        question.ask(Write(question.op, self._key, data), timeout_ms)

    def _on_given(self, reply: Message | None) -> None:
        self._then(self, isinstance(reply, Wrote))

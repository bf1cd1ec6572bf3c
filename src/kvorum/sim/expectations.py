"""What may be said of a write that states what it expects to find.

The coordinator reads a quorum, looks, and then writes: no lock is held. So writes at the same
time may get between, and this much can be promised, and is judged:

    its answer       a put that expected nothing says that it created the key, one that
                     expected something that it did not, and one that expected an exact
                     version leaves nothing beside itself
    what it looked   where it met every write acknowledged before it began (owners alone were
    at               asked, and the quorums overlap): that is shown by what it expected, or
                     replaced, or expired. So nothing lived if it expected nothing, or was
                     refused because it found nothing; and an exact version is no older than
                     any such write
    something lived  if it expected something, or was refused because it found something:
                     what was put by then, unless replaced or expired for sure
    no refusal       of an exact version while all writes that ever began are in it

That a refused write leaves nothing is what `nothing_invented`, `nothing_kept` and, of deletes,
`nothing_lost` say. Nothing is said of what a quorum that may have counted stand-ins saw.
"""

from __future__ import annotations

from math import inf

from kvorum.model.request import ABSENT, ANY, EXACT, PRESENT
from kvorum.sim.attribution import Writes, members
from kvorum.sim.checkers import Violation, names
from kvorum.sim.history import History, Operation, met
from kvorum.sim.lineage import Lineage


def nothing_unexpected(history: History, replicas: int, skew_s: float = 0.0) -> list[Violation]:
    found = []
    for _, operations in history.by_key():
        judge = _Judge(operations, replicas, skew_s)
        for op in operations:
            if op.expect != ANY:
                found += judge.verdicts(op)
    return [Violation("nothing_unexpected", message) for message in found]


class _Judge:
    """Of the writes of one key."""

    def __init__(self, operations: list[Operation], replicas: int, skew_s: float) -> None:
        self._lineage = Lineage(operations, replicas, skew_s)
        self._covered = self._lineage.replaced_for_sure()
        self._by_number = {op.number: op for op in operations}
        self._replicas = replicas

    def verdicts(self, op: Operation) -> list[str]:
        acked, refused = op.outcome == "acked", op.error == "precondition_failed"
        found = _own_words(op) if acked and op.kind == "put" else []
        basis = None if op.basis is None else self._by_number[op.basis]
        if (acked and op.expect == ABSENT) or (refused and op.expect == PRESENT):
            found += self._overlooked(op, None, op.ended)
        if (acked and op.expect == PRESENT) or (refused and op.expect == ABSENT):
            found += self._imagined(op)
        if basis is not None and op.expect == EXACT:
            if acked:
                # Where nothing lived, deletes since may have been forgotten together with the key.
                found += self._overlooked(op, basis, basis.ended if basis.values else inf)
                found += self._outdated(op, basis)
            elif refused and self._has_seen_all(basis, op):
                found.append(f"{op} was refused, though #{basis.number} had seen all there was")
        return found

    def _overlooked(self, op: Operation, answer: Operation | None, at: float) -> list[str]:
        """What `op` has met, and `answer`, seen by the time `at`, does not account for."""
        values = () if answer is None else answer.values
        lineage, seen_at = self._lineage, min(at, op.ended)
        touches = [t for t in lineage.lifetimes.touches if met(t, op, self._replicas)]
        due = lineage.met_by(op)
        missing = due and due & ~lineage.accounted(answer, seen_at, touches)
        return [
            f"{op} {op.error} saw {names(values)}, which do not account for {lineage.writes[i]}"
            for i in members(missing)
        ]

    def _imagined(self, op: Operation) -> list[str]:
        lineage = self._lineage
        gone: Writes = 0
        for i, write in enumerate(lineage.writes):
            if met(write, op, self._replicas):
                gone |= self._covered[i]
        for put in lineage.writes:
            old = put is not op and put.kind == "put" and put.invoked <= op.ended
            if old and not lineage.of(put) & gone and lineage.lifetimes.gone_by(put) > op.invoked:
                return []
        return [f"{op} {op.error} saw a value, though none can have been there"]

    def _outdated(self, op: Operation, basis: Operation) -> list[str]:
        """The writes that `op` has met, and the version it carried cannot have seen."""
        if not basis.values:
            return []
        made = ~self._lineage.attribution.repeats
        writes = [write for i, write in enumerate(self._lineage.writes) if made >> i & 1]
        writes += self._lineage.lifetimes.touches
        return [
            f"{op} was not refused, though {write} came after #{basis.number}"
            for write in writes
            if met(write, op, self._replicas)
            # The answer of a delete has the version that was before it.
            and (write.invoked > basis.ended or (write is basis and write.kind == "delete"))
        ]

    def _has_seen_all(self, basis: Operation, op: Operation) -> bool:
        """True if `basis` has seen all writes that can have been there for `op`, which itself
        has met them; what is deleted or expires may be forgotten.
        """
        writes = [w for w in self._lineage.writes if w.invoked <= op.ended]
        touched = any(t.invoked <= op.ended for t in self._lineage.lifetimes.touches)
        return (
            basis.kind == "get"
            and not touched
            and all(w.kind == "put" and not w.ttl_s for w in writes)
            and all(met(w, reader, self._replicas) for w in writes for reader in (basis, op))
        )


def _own_words(put: Operation) -> list[str]:
    """Where the answer of an acknowledged put contradicts what it had expected."""
    if put.expect != EXACT and put.created != (put.expect == ABSENT):
        return [f"{put} {'created' if put.created else 'did not create'} the key"]
    if put.expect == EXACT and put.values != (put.value,):
        return [f"{put} left {names(put.values)}"]
    return []

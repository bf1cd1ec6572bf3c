"""What must hold of a history and of the state that is left when all faults have healed.

    listed_once      a listing gives each key once, and only keys with its prefix
    ended_once       each operation ends exactly once, in time, and not before it was submitted
    nothing_invented each answer holds only what was written to its key, and not in vain
    nothing_stale    a read whose quorum meets the write quorum (R + W > N) shows, or shows
                     replaced, every write acknowledged before it began: a regular register
                     (if owners alone were counted for both: not where a node stood in)
    nothing_lost     the same of the final state and every acknowledged write
    nothing_revived  a version never lives beside the one that replaced it, and no read whose
                     quorum meets that of an acknowledged write shows what this one replaced
    nothing_forgotten the version in the answer of a put has seen all that its own had seen
    nothing_outlived no answer shows a value that had expired by every clock
    nothing_mistimed an acknowledged put or touch gave the lifetime it was asked for, and a read
                     that has met the last touch of a value shows no other expiry
    nothing_unexpired after the sweep no owner holds a version that has expired
    nothing_kept     no node holds the value of a put that was said to have changed nothing
    nothing_back     no node holds a value of a namespace that was shredded
    nothing_damaged  no node holds a record that does not read
    replicas_equal   all owners of a key hold the same bytes
    none_needless    a blind write while no link comes or goes is no sibling of an earlier one
    unhindered       where nothing is wrong but full disks, reads and blind deletes succeed
    undisturbed      without faults everything succeeds and blind writers make no siblings

Each is a pure function that returns the violations it finds. `lineage` says what "replaced"
means. `expectations` has one more, of writes that state what they expect to find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kvorum.model.record import Event, dominates
from kvorum.sim.attribution import Writes, members
from kvorum.sim.history import History, Operation, met
from kvorum.sim.lineage import Lineage

EXPECTED_REFUSALS: Final = frozenset({"not_found", "precondition_failed"})
"""Answers that say something of the data, not of the cluster."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that failed, and what it found."""

    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.check}: {self.message}"


def ended_once(history: History, slack_s: float) -> list[Violation]:
    """`slack_s`: how long after its deadline an operation may still end."""
    found = []
    for op in history.operations:
        if op.hasty:
            found.append(f"{op} was answered before the call that submitted it returned")
        if op.endings > 1:
            found.append(f"{op} ended {op.endings} times")
        elif op.endings == 0 and not op.severed:
            found.append(f"{op} never ended; its deadline was {op.deadline:.6f}")
        elif op.endings == 1 and op.ended > op.deadline + slack_s:
            found.append(f"{op} ended at {op.ended:.6f}, after its deadline {op.deadline:.6f}")
    return [Violation("ended_once", message) for message in found]


def nothing_invented(history: History) -> list[Violation]:
    found = []
    for _, operations in history.by_key():
        puts: dict[bytes, list[Operation]] = {}
        for op in operations:
            if op.kind == "put":
                puts.setdefault(op.value, []).append(op)
        of_dot: dict[Event, bytes] = {}
        for op in operations:
            for value in op.values:
                writers = puts.get(value, [])
                begun = [put for put in writers if put.invoked <= op.ended]
                if not writers:
                    found.append(f"{op} returned {value!r}, which nobody wrote to that key")
                elif not begun:
                    found.append(f"{op} returned the value of {writers[0]}, which came later")
                elif all(put.outcome == "failed" for put in begun):
                    found.append(f"{op} returned the value of {begun[0]}, which was refused")
            for value, dot in zip(op.values, op.dots, strict=True):
                if of_dot.setdefault(dot, value) != value:
                    found.append(f"{op} returned {names([value])} under the dot of another value")
    return [Violation("nothing_invented", message) for message in found]


def nothing_stale(history: History, replicas: int, skew_s: float = 0.0) -> list[Violation]:
    """`skew_s`, here and below: how far any two wall clocks are apart at most."""
    found = []
    for _, operations in history.by_key():
        lineage = Lineage(operations, replicas, skew_s)
        for answer in operations:
            touches = [t for t in lineage.lifetimes.touches if met(t, answer, replicas)]
            due = _due(answer, lineage)
            missing = due and due & ~lineage.accounted(answer, answer.ended, touches)
            found += [
                f"{answer} returned {names(answer.values)}, which do not account for "
                f"{lineage.writes[i]}"
                for i in members(missing)
            ]
    return [Violation("nothing_stale", message) for message in found]


def _due(answer: Operation, lineage: Lineage) -> Writes:
    """The writes that `answer` has to show, or to show replaced."""
    if answer.kind == "put":
        return lineage.of(answer) if answer.outcome == "acked" else 0
    # A touch answers with all there is. Without a version, so does a refusal: it says that there
    # is nothing.
    shown = answer.kind in ("get", "touch") and answer.outcome == "acked"
    if shown or (answer.basis is None and answer.error == "not_found"):
        return lineage.met_by(answer)
    return 0


def nothing_lost(
    history: History, final: Mapping[str, Operation], replicas: int, skew_s: float = 0.0
) -> list[Violation]:
    """`final`: the read of each key after healing. What came later does not count, and a read
    that failed tells nothing.
    """
    found = []
    for key, operations in history.by_key():
        lineage, left = Lineage(operations, replicas, skew_s), final[key]
        if left.outcome != "acked":
            continue
        touches = [t for t in lineage.lifetimes.touches if t.done_by < left.invoked]
        accounted = lineage.accounted(left, left.ended, touches)
        found += [
            f"{op} is neither left nor replaced; left is {names(left.values)}"
            for op in lineage.writes
            if op.done_by < left.invoked and not lineage.of(op) & accounted
        ]
        found += [
            f"{touch} kept {lineage.writes[i]}, which is neither left nor replaced; left is "
            f"{names(left.values)}"
            for touch in touches
            for i in members(lineage.attribution.sure(touch) & ~accounted)
        ]
    return [Violation("nothing_lost", message) for message in found]


def nothing_revived(history: History, replicas: int, skew_s: float = 0.0) -> list[Violation]:
    found = []
    for _, operations in history.by_key():
        lineage = Lineage(operations, replicas, skew_s)
        covered = lineage.replaced_for_sure()
        for answer in operations:
            shown = lineage.attribution.sure(answer)
            by = list(members(shown & lineage.attribution.made))
            by += [
                i
                for i, op in enumerate(lineage.writes)
                if covered[i] & shown and met(op, answer, replicas)
            ]
            found += [
                f"{answer} returned the value of {lineage.writes[j]}, which "
                f"{lineage.writes[i]} had replaced"
                for i in by
                for j in members(shown & covered[i])
            ]
    return [Violation("nothing_revived", message) for message in found]


def nothing_forgotten(history: History) -> list[Violation]:
    """So what it was answered with was not yet replaced by anything that it had seen."""
    return [
        Violation("nothing_forgotten", f"{op} was answered with a version older than its own")
        for op in history.operations
        if op.kind == "put" and op.outcome == "acked" and op.seen is not None
        if not dominates(op.context, op.seen)
    ]


def nothing_outlived(history: History, slowest_ms: Callable[[float], int]) -> list[Violation]:
    """`slowest_ms(t)`: what the slowest wall clock of the cluster may have shown at the time t."""
    found = []
    for op in history.operations:
        seen_ms = slowest_ms(op.invoked)
        found += [
            f"{op} returned {names([value])}, which expired {seen_ms - expires} ms before"
            for value, expires in zip(op.values, op.expiries, strict=True)
            if 0 < expires <= seen_ms
        ]
    return [Violation("nothing_outlived", message) for message in found]


def nothing_mistimed(
    history: History,
    replicas: int,
    slowest_ms: Callable[[float], int],
    fastest_ms: Callable[[float], int],
) -> list[Violation]:
    """What was given at the end of an operation by the fastest clock expires last."""
    found = []
    for op in history.operations:
        given = op.values if op.touched_all else (op.value,)
        soonest = latest = 0
        if op.outcome != "acked" or op.kind not in ("put", "touch"):
            continue
        if op.ttl_s:
            soonest = slowest_ms(op.invoked) + op.ttl_s * 1000
            latest = fastest_ms(op.ended) + op.ttl_s * 1000
        wrong = [
            f"{op} has {names([value])} expire at {expires}, not from {soonest} to {latest}"
            for value, expires in zip(op.values, op.expiries, strict=True)
            if value in given and not soonest <= expires <= latest
        ]
        # Beside what a put made there may be other versions of its value.
        if op.kind == "touch" or len(wrong) == op.values.count(op.value):
            found += wrong
    for _, operations in history.by_key():
        shared = _written_twice(operations)
        touches = [op for op in operations if op.kind == "touch" and op.outcome != "failed"]
        for answer in operations:
            if touches and answer.kind == "get":
                found += _mistold(answer, touches, replicas, shared)
    return [Violation("nothing_mistimed", message) for message in found]


def _written_twice(operations: Iterable[Operation]) -> set[bytes]:
    counts = Counter(op.value for op in operations if op.kind == "put")
    return {value for value, count in counts.items() if count > 1}


def _mistold(
    answer: Operation, touches: list[Operation], replicas: int, shared: set[bytes]
) -> list[str]:
    """Where `answer` shows another expiry than the last touch of a value gave it. Of `shared`
    values there may be versions that it has not touched.
    """
    found = []
    for value, expires in zip(answer.values, answer.expiries, strict=True):
        if value in shared:
            continue
        renewals = [t for t in touches if t.outcome != "acked" or value in t.values]
        last = max((t for t in renewals if t.touched_all), key=_began, default=None)
        if last is None or not met(last, answer, replicas):
            continue
        told = last.expiries[last.values.index(value)]
        others = [t for t in renewals if t is not last]
        if expires != told and all(met(t, last, replicas) for t in others):
            found.append(f"{answer} has {names([value])} expire at {expires}; {last} said {told}")
    return found


def _began(operation: Operation) -> float:
    return operation.invoked


def nothing_unexpired(expired: Mapping[str, Mapping[int, int]]) -> list[Violation]:
    """`expired`: per key how many expired versions each owner's store holds after its sweep."""
    return [
        Violation("nothing_unexpired", f"n{node} holds {count} expired versions of {key}")
        for key, by_node in expired.items()
        for node, count in by_node.items()
        if count
    ]


def nothing_kept(
    history: History, stored: Mapping[str, Mapping[int, tuple[bytes, ...]]]
) -> list[Violation]:
    """`stored`: per key the values in each node's store."""
    found = []
    for key, operations in history.by_key():
        refused = {op.value: op for op in operations if op.kind == "put" and op.outcome == "failed"}
        for op in operations:
            if op.kind == "put" and op.outcome != "failed":
                refused.pop(op.value, None)
        found += [
            f"n{node} holds the value of {refused[value]} ({refused[value].error})"
            for node, values in stored[key].items()
            for value in values
            if value in refused
        ]
    return [Violation("nothing_kept", message) for message in found]


def nothing_back(stored: Mapping[str, Mapping[int, tuple[bytes, ...]]]) -> list[Violation]:
    """`stored`: per key the values in each node's store, after all nodes have shredded them."""
    return [
        Violation("nothing_back", f"n{node} holds {names(values)} of {key}, which was shredded")
        for key, by_node in stored.items()
        for node, values in by_node.items()
        if values
    ]


def nothing_damaged(damaged: Mapping[str, list[int]]) -> list[Violation]:
    """`damaged`: per key the nodes whose record of it does not read."""
    return [
        Violation("nothing_damaged", f"n{node} holds a damaged record of {key}")
        for key, nodes in damaged.items()
        for node in nodes
    ]


def replicas_equal(stored: Mapping[str, Mapping[int, bytes | None]]) -> list[Violation]:
    """`stored`: per key what each owner's store holds."""
    found = []
    for key, by_node in stored.items():
        if len(set(by_node.values())) > 1:
            held = {node: data and data[:8].hex() for node, data in by_node.items()}
            found.append(f"the owners of {key} hold different records: {held}")
    return [Violation("replicas_equal", message) for message in found]


def unhindered(history: History) -> list[Violation]:
    """Only for a run in which nothing is wrong but that disks are full. A delete that carries a
    version may leave siblings, for which there is no room.
    """
    return [
        Violation("unhindered", f"{op} ({op.error}) though it needs no room")
        for op in history.operations
        if op.kind == "get" or (op.kind == "delete" and op.basis is None)
        if op.outcome != "acked" and op.error not in EXPECTED_REFUSALS
    ]


def undisturbed(history: History) -> list[Violation]:
    """Only for a run without faults."""
    found = []
    for key, operations in history.by_key():
        found += [
            f"{op} ({op.error}) though nothing was wrong"
            for op in operations
            if op.outcome != "acked" and op.error not in EXPECTED_REFUSALS
        ]
        if all(op.basis is None for op in operations):
            found += [
                f"{op} shows siblings {names(op.values)}, though all writes of {key} were blind"
                for op in operations
                if len(op.values) > 1
            ]
    return [Violation("undisturbed", message) for message in found]


def none_needless(history: History, replicas: int, quiet_s: float) -> list[Violation]:
    """Only for a run in which all that is sent arrives within `quiet_s`, or its link breaks.

    While all nodes agree on who is up, the blind writes of a key have one coordinator. It has
    seen every earlier write, or meets it in a majority. Not so a touch at the same time, of which
    another node may be the coordinator.
    """
    majority = replicas // 2 + 1
    found = []
    for _, operations in history.by_key():
        lineage = Lineage(operations, replicas)
        attribution = lineage.attribution
        for answer in operations:
            made = attribution.sure(answer) & attribution.made
            puts = [lineage.writes[i] for i in members(made)]
            shown = [op for op in puts if op.basis is None and op.outcome == "acked"]
            found += [
                f"{answer} shows {a} and {b}, which came after it, as siblings"
                for a in shown
                for b in shown
                if not lineage.of(a) & lineage.renewed
                and a.ended + quiet_s < b.invoked
                and b.calm
                and a.strict
                and b.strict
                and b.quorum >= majority > replicas - a.quorum
            ]
    return [Violation("none_needless", message) for message in found]


def names(values: Iterable[bytes]) -> str:
    """Without what makes them large."""
    shown = [value.decode(errors="replace").rstrip(".") for value in values]
    return "[" + ", ".join(f"#{value}" for value in shown) + "]"


def describe(operations: Iterable[Operation]) -> list[str]:
    """A readable history, for whoever looks for the cause of a violation."""
    return [
        f"{op} until {op.ended:.6f} -> {names(op.values)} {op.error}".rstrip() for op in operations
    ]

"""What must hold of a history and of the state that is left when all faults have healed.

    ended_once       each operation ends exactly once, in time, and not before it was submitted
    nothing_invented each answer holds only what was written to its key, and not in vain
    nothing_stale    a read whose quorum meets the write quorum (R + W > N) shows, or shows
                     replaced, every write acknowledged before it began: a regular register
                     (if owners alone were counted for both: not where a node stood in)
    nothing_lost     the same of the final state and every acknowledged write
    nothing_revived  a version never lives beside the one that replaced it, and no read whose
                     quorum meets that of an acknowledged write shows what this one replaced
    nothing_outlived no answer shows a value that had expired by every clock
    nothing_unburied after the sweep no owner holds a version that has expired
    nothing_kept     no node holds the value of a put that was said to have changed nothing
    nothing_damaged  no node holds a record that does not read
    replicas_equal   all owners of a key hold the same bytes
    none_needless    a blind write while no link comes or goes is no sibling of an earlier one
    undisturbed      without faults everything succeeds and blind writers make no siblings

Each is a pure function that returns the violations it finds. `lineage` says what "replaced"
means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kvorum.sim.history import History, Operation
from kvorum.sim.lineage import Lineage, Writes, members

EXPECTED_REFUSALS: Final = frozenset({"not_found", "precondition_failed"})
"""Answers that say something of the data, not of the cluster."""


@dataclass(frozen=True, slots=True)
class Violation:
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
        puts = {op.value: op for op in operations if op.kind == "put"}
        for op in operations:
            for value in op.values:
                put = puts.get(value)
                if put is None:
                    found.append(f"{op} returned {value!r}, which nobody wrote to that key")
                elif put.invoked > op.ended:
                    found.append(f"{op} returned the value of {put}, which came later")
                elif put.outcome == "failed":
                    found.append(f"{op} returned the value of {put}, which was refused")
    return [Violation("nothing_invented", message) for message in found]


def nothing_stale(history: History, replicas: int, skew_s: float = 0.0) -> list[Violation]:
    """`skew_s`, here and below: how far any two wall clocks are apart at most."""
    found = []
    for _, operations in history.by_key():
        lineage = Lineage(operations, skew_s)
        for answer in operations:
            due = _due(answer, lineage, replicas)
            missing = due and due & ~lineage.accounted(answer.values, answer.ended)
            found += [
                f"{answer} returned {_names(answer.values)}, which do not account for "
                f"{lineage.writes[i]}"
                for i in members(missing)
            ]
    return [Violation("nothing_stale", message) for message in found]


def _due(answer: Operation, lineage: Lineage, replicas: int) -> Writes:
    """The writes that `answer` has to show, or to show replaced."""
    if answer.kind == "put":
        return lineage.of(answer) if answer.outcome == "acked" else 0
    if answer.kind == "get" and answer.outcome == "acked":
        quorum = answer.quorum
    elif answer.kind == "delete" and answer.basis is None and answer.error == "not_found":
        # It says that nothing is there, and may say so only after it asked a majority (of
        # owners, unless the quorum was sloppy: then `strict` is False).
        quorum = replicas // 2 + 1
    else:
        return 0
    due = 0
    for op in lineage.writes:
        met = op.quorum + quorum > replicas and op.strict and answer.strict
        if op.outcome == "acked" and op.ended < answer.invoked and met:
            due |= lineage.of(op)
    return due


def nothing_lost(
    history: History, final: Mapping[str, Operation], skew_s: float = 0.0
) -> list[Violation]:
    """`final`: the read of each key after healing. What came later does not count, and a read
    that failed tells nothing.
    """
    found = []
    for key, operations in history.by_key():
        lineage, left = Lineage(operations, skew_s), final[key]
        if left.outcome != "acked":
            continue
        accounted = lineage.accounted(left.values, left.ended)
        found += [
            f"{op} is neither left nor replaced; left is {_names(left.values)}"
            for op in lineage.writes
            if op.outcome == "acked" and op.ended < left.invoked and not lineage.of(op) & accounted
        ]
    return [Violation("nothing_lost", message) for message in found]


def nothing_revived(history: History, replicas: int, skew_s: float = 0.0) -> list[Violation]:
    found = []
    for _, operations in history.by_key():
        lineage = Lineage(operations, skew_s)
        covered = lineage.replaced_for_sure()
        done = [(i, op) for i, op in enumerate(lineage.writes) if op.outcome == "acked"]
        for answer in operations:
            shown = lineage.of_values(answer.values)
            by = list(members(shown))
            if answer.kind == "get":
                by += [
                    i
                    for i, op in done
                    if covered[i] & shown
                    and op.ended < answer.invoked
                    and op.quorum + answer.quorum > replicas
                    and op.strict
                    and answer.strict
                ]
            found += [
                f"{answer} returned the value of {lineage.writes[j]}, which "
                f"{lineage.writes[i]} had replaced"
                for i in by
                for j in members(shown & covered[i])
            ]
    return [Violation("nothing_revived", message) for message in found]


def nothing_outlived(history: History, slowest_ms: Callable[[float], int]) -> list[Violation]:
    """`slowest_ms(t)`: what the slowest wall clock of the cluster may have shown at the time t."""
    found = []
    for op in history.operations:
        seen_ms = slowest_ms(op.invoked)
        found += [
            f"{op} returned {_names([value])}, which expired {seen_ms - expires} ms before"
            for value, expires in zip(op.values, op.expiries, strict=True)
            if 0 < expires <= seen_ms
        ]
    return [Violation("nothing_outlived", message) for message in found]


def nothing_unburied(expired: Mapping[str, Mapping[int, int]]) -> list[Violation]:
    """`expired`: per key how many expired versions each owner's store holds after its sweep."""
    return [
        Violation("nothing_unburied", f"n{node} holds {count} expired versions of {key}")
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
        found += [
            f"n{node} holds the value of {refused[value]} ({refused[value].error})"
            for node, values in stored[key].items()
            for value in values
            if value in refused
        ]
    return [Violation("nothing_kept", message) for message in found]


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
                f"{op} shows siblings {_names(op.values)}, though all writes of {key} were blind"
                for op in operations
                if len(op.values) > 1
            ]
    return [Violation("undisturbed", message) for message in found]


def none_needless(history: History, replicas: int, quiet_s: float) -> list[Violation]:
    """Only for a run in which all that is sent arrives within `quiet_s`, or its link breaks.

    While all nodes agree on who is up, the blind writes of a key have one coordinator. It has
    seen every earlier write, or meets it in a majority.
    """
    majority = replicas // 2 + 1
    found = []
    for _, operations in history.by_key():
        puts = {
            op.value: op
            for op in operations
            if op.kind == "put" and op.basis is None and op.outcome == "acked"
        }
        for answer in operations:
            shown = [puts[value] for value in answer.values if value in puts]
            found += [
                f"{answer} shows {a} and {b}, which came after it, as siblings"
                for a in shown
                for b in shown
                if a.ended + quiet_s < b.invoked
                and b.calm
                and a.strict
                and b.strict
                and b.quorum >= majority > replicas - a.quorum
            ]
    return [Violation("none_needless", message) for message in found]


def _names(values: Iterable[bytes]) -> str:
    return "[" + ", ".join(f"#{value.decode(errors='replace')}" for value in values) + "]"


def describe(operations: Iterable[Operation]) -> list[str]:
    """A readable history, for whoever looks for the cause of a violation."""
    return [
        f"{op} until {op.ended:.6f} -> {_names(op.values)} {op.error}".rstrip() for op in operations
    ]

"""Checks of the nodes against each other: views, clocks, versions, catalogs, quorums, backups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kvorum.cli.inspection.evidence import Evidence
from kvorum.cli.inspection.finding import Finding, fail, warn, well
from kvorum.cluster.clock_notices import APART_MS, difference
from kvorum.model.topology import NamespaceSettings

BACKUP_AGE_DAYS: Final = 7
ROUND_AGE_HOURS: Final = 24
_HOUR_MS: Final = 3_600_000


def views(evidence: Evidence) -> Iterator[Finding]:
    """Whether the nodes see each other."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for seer, status in evidence.statuses.items():
        for node in status.nodes:
            if not node.is_self and not node.up:
                state = node.state if node.state != "up" else "not linked"
                found[node.name, state].append(seer)
    for (name, state), seers in found.items():
        by = ", ".join(seers)
        what = f"{by} {'see' if len(seers) > 1 else 'sees'} {name} as {state}."
        level = fail if state == "down" or name in evidence.silent else warn
        yield level("membership", name, what, "kvorum status")
    if not found:
        yield well("membership", "Every node sees all others up.")


def clocks(evidence: Evidence) -> Iterator[Finding]:
    """Whether the nodes show the same time."""
    wrong, widest = [], 0
    for name, status in evidence.statuses.items():
        if status.clock is not None and status.clock.state in ("wrong", "disputed"):
            what = f"The clock of {name} is {status.clock.state}: {name} gives no lifetimes."
            wrong.append(fail("clocks", name, what, f"kvorum clock accept {name}"))
    for name, ahead_ms, reference in _clock_offsets(evidence):
        widest = max(widest, abs(ahead_ms))
        if abs(ahead_ms) > APART_MS:
            what = f"The clock of {name} is {difference(ahead_ms)} that of {reference}."
            wrong.append(warn("clocks", name, what, "timedatectl set-ntp true"))
    yield from wrong or [well("clocks", f"The clocks differ by {widest} ms at most.")]


def _clock_offsets(evidence: Evidence) -> Iterator[tuple[str, int, str]]:
    """Each pair of clocks once: (node, ms ahead of the other one, the other one)."""
    seen: set[frozenset[str]] = set()
    for reference, status in evidence.statuses.items():
        for node in status.nodes:
            pair = frozenset((reference, node.name))
            if node.clock_ahead_ms is not None and len(pair) > 1 and pair not in seen:
                seen.add(pair)
                yield node.name, node.clock_ahead_ms, reference


def versions(evidence: Evidence) -> Iterator[Finding]:
    """Whether all nodes run the same."""
    statuses = evidence.statuses
    known = {name: status.resources for name, status in statuses.items()}
    protocols = {name: each.protocol for name, each in known.items() if each and each.protocol}
    pythons = {name: each.python for name, each in known.items() if each and each.python}
    releases = {name: status.version for name, status in statuses.items()}
    epochs = {name: str(status.epoch) for name, status in statuses.items()}
    differing = [
        *_differing(fail, "the protocol of links", protocols, "pip install --upgrade kvorum"),
        *_differing(fail, "the epoch of the topology", epochs, "kvorum ring"),
        *_differing(warn, "kvorum", releases, "pip install --upgrade kvorum"),
        *_differing(warn, "Python", pythons, "python3 --version"),
    ]
    if differing or not statuses:
        yield from differing
    else:
        release = next(iter(releases.values()))
        yield well("versions", f"All nodes run kvorum {release}.")


def _differing(
    level: Callable[[str, str, str, str], Finding], what: str, of: Mapping[str, str], then: str
) -> Iterator[Finding]:
    if len(set(of.values())) > 1:
        told = ", ".join(f"{name} has {version}" for name, version in of.items())
        text = f"The nodes do not have the same version of {what}: {told}."
        yield level("versions", what, text, then)


def catalogs(evidence: Evidence) -> Iterator[Finding]:
    """Whether all nodes have the same namespaces, with the same settings."""
    statuses = evidence.statuses
    names = {name for status in statuses.values() for name in status.namespaces}
    found = []
    for space in sorted(names):
        lacking = [name for name, status in statuses.items() if space not in status.namespaces]
        if lacking:
            what = f"{', '.join(lacking)} do not have the namespace {space!r}, which others have."
            if len(lacking) == 1:
                what = what.replace(" do not", " does not", 1)
            found.append(fail("namespaces", space, what, f"kvorum namespace create {space}"))
        elif len({repr(status.namespaces[space]) for status in statuses.values()}) > 1:
            what = f"The nodes have different settings of the namespace {space!r}."
            found.append(fail("namespaces", space, what, f"kvorum namespace alter {space} --help"))
    yield from found or [well("namespaces", f"All nodes have the same {len(names)} namespaces.")]


def quorums(evidence: Evidence) -> Iterator[Finding]:
    """Whether enough nodes are up for the replicas and quorums of each namespace."""
    up, found = len(evidence.statuses), []
    for space, settings in _namespaces(evidence).items():
        needed = max(settings.read, settings.write)
        if up < needed:
            what = f"{up} nodes are up, and the quorums of {space!r} need {needed} of its replicas."
            found.append(fail("quorums", space, what, "kvorum status"))
        elif up < settings.replicas:
            what = (
                f"{space!r} keeps {settings.replicas} replicas of each entry, and {up} nodes are "
                "up: one more that fails may be one too many."
            )
            found.append(warn("quorums", space, what, "kvorum status"))
    yield from found or [well("quorums", "Enough nodes are up for all namespaces.")]


def _namespaces(evidence: Evidence) -> Mapping[str, NamespaceSettings]:
    return {
        name: settings
        for status in evidence.statuses.values()
        for name, settings in status.namespaces.items()
    }


def hints(evidence: Evidence) -> Iterator[Finding]:
    """Whether writes wait for nodes that missed them."""
    owed: dict[str, int] = defaultdict(int)
    missed: dict[str, list[str]] = defaultdict(list)
    for keeper, status in evidence.statuses.items():
        for node in status.nodes:
            if node.hints_owed:
                owed[node.name] += node.hints_owed
            if node.hints is not None and node.hints.missed_more:
                missed[node.name].append(keeper)
    for name, number in owed.items():
        what = f"{number} writes wait as hints for {name}."
        yield warn("hints", name, what, "kvorum status")
    for name, keepers in missed.items():
        what = (
            f"{name} has missed writes that {', '.join(keepers)} kept no hints for; comparing the "
            "replicas finds them."
        )
        yield warn("hints", name, what, "kvorum repair")
    if not owed and not missed:
        yield well("hints", "No writes wait for a node that missed them.")


def comparisons(evidence: Evidence) -> Iterator[Finding]:
    """Whether replicas were compared lately."""
    found = []
    for name, status in evidence.statuses.items():
        rounds = status.anti_entropy
        if rounds is None or rounds.oldest_round_ms is None:
            continue
        hours = (evidence.now_ms - rounds.oldest_round_ms) / _HOUR_MS
        if hours > ROUND_AGE_HOURS:
            what = f"{name} last compared all its replicas with others' {hours:.0f} hours ago."
            found.append(warn("anti-entropy", name, what, "kvorum repair"))
    yield from found or [well("anti-entropy", "Replicas were compared in the last day.")]


def backups(evidence: Evidence) -> Iterator[Finding]:
    """Whether there are snapshots, and how old the newest one is."""
    found = []
    for name, listed in evidence.snapshots.items():
        sound = [each.created_ms for each in listed.snapshots if not each.damage]
        damaged = [each.name for each in listed.snapshots if each.damage]
        if damaged:
            what = f"Snapshots of {name} are damaged: {', '.join(damaged)}."
            found.append(fail("backups", name, what, "kvorum snapshot list"))
        if not sound:
            what = f"{name} has no snapshot."
            found.append(warn("backups", name, what, "kvorum snapshot create"))
            continue
        days = (evidence.now_ms - max(sound)) / (24 * _HOUR_MS)
        if days > BACKUP_AGE_DAYS:
            what = f"The newest snapshot of {name} is {days:.0f} days old."
            found.append(warn("backups", name, what, "kvorum snapshot create"))
    if found or not evidence.snapshots:
        yield from found
    else:
        yield well("backups", f"Every node has a snapshot of the last {BACKUP_AGE_DAYS} days.")

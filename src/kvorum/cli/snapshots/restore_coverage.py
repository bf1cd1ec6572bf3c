"""What a restore must refuse: snapshots that need not hold every acknowledged write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from kvorum.backup.coverage import Coverage, Part, coverage
from kvorum.cli.snapshots.restore_sources import Source
from kvorum.model.errors import ConfigError, PreconditionFailed
from kvorum.model.topology_toml import parse_topology
from kvorum.replica import unverified_tokens
from kvorum.sealing import quarantine
from kvorum.storage import recovery_note

_NO_SECRET: Final = bytes(32)
"""In the place of the cluster's: it says nothing of where records are."""


class SnapshotsIncomplete(PreconditionFailed):
    """Acknowledged writes may be in none of the snapshots."""

    code = "snapshots_incomplete"


def covered(sources: Sequence[Source], namespace: str | None) -> Coverage:
    """What `sources` hold, as far as they have been read. Raises ConfigError."""
    parts = list(map(_part, sources))
    namespaces = {namespace} if namespace is not None else set()
    if namespace is None:
        for source, part in zip(sources, parts, strict=True):
            namespaces |= source.reader.namespaces | set(part.topology.namespaces)
    return coverage(parts, namespaces)


def check(found: Coverage) -> None:
    """Raises SnapshotsIncomplete."""
    if not found.complete:
        raise SnapshotsIncomplete(
            f"These snapshots may lack acknowledged writes: {described(found)}. Name "
            "those of the other nodes with --from as well, or restore what there is with "
            "--partial.",
            **document(found),
        )


def described(found: Coverage) -> str:
    """What is missing, as a part of a sentence."""
    said = []
    if found.missing:
        said.append(f"there is no snapshot of {_listed(found.missing)}")
    if found.forgetful:
        said.append(f"{_listed(found.forgetful)} had lost data and not yet got it back")
    said += [
        f"in {gap.partitions} of {gap.total} partitions of namespace {gap.namespace!r} too few "
        "owners are left to have every write"
        for gap in found.gaps
    ]
    if found.damaged:
        said.append(
            f"{found.damaged} records are damaged in so many of them that writes may be lost"
        )
    return "; ".join(said)


def document(found: Coverage) -> dict[str, Any]:
    """As JSON has it."""
    return {"missing": None if found.complete else msgspec.to_builtins(found)}


def _part(source: Source) -> Part:
    content, reader = source.content, source.reader
    origin = content.origin
    try:
        topology = parse_topology(origin.topology, "its topology", _NO_SECRET)
    except ConfigError as error:
        raise ConfigError(
            f"The snapshot of {origin.node} does not say which nodes its cluster had: "
            f"{error.message.rstrip('.')}. Use the kvorum that made it."
        ) from error
    damaged = {key[2:10] for key in reader.notes(quarantine.START, quarantine.END)}
    doubted = [
        unverified_tokens.span_of(key)
        for key in reader.notes(unverified_tokens.START, unverified_tokens.END)
    ]
    alone = len(topology.nodes) == 1
    whole = (
        (alone or reader.note(recovery_note.NOTE) == recovery_note.WHOLE)
        and len(damaged) < quarantine.DAMAGES_MAX
        and all(span.first == span.last for span in doubted)
    )
    unsure = damaged.union((span.first for span in doubted), reader.unread)
    return Part(origin.node, topology, whole, frozenset(unsure))


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))

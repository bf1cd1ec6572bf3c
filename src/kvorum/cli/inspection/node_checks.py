"""Checks of each node by itself: can it be reached, does it have room, is what it stores sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kvorum.cli.inspection.evidence import Evidence
from kvorum.cli.inspection.finding import Finding, fail, warn, well
from kvorum.documents.resources import Resources
from kvorum.documents.status import Status
from kvorum.model.sizes import format_size

DISK_LOW: Final = 0.1
"""The fraction of a disk that should be free."""
FILES_HIGH: Final = 0.8
FILES_FEW: Final = 1024
SLOW_SYNC_MS: Final = 50.0
FLUSH_LAG_S: Final = 300.0


def reachability(evidence: Evidence) -> Iterator[Finding]:
    """Whether each node answers, at both of its ports."""
    http = {node.name: node.http for node in evidence.nodes}
    peer = {node.name: node.peer for node in evidence.nodes}
    for name, why in evidence.silent.items():
        where = http.get(name, "its HTTP port")
        what = f"{name} does not answer at {where}: {why.removesuffix('.')}."
        yield fail("reachability", name, what, f"kvorum serve --node {name} --cluster cluster.toml")
    for name, why in evidence.closed.items():
        if name not in evidence.silent:
            what = f"The peer port of {name}, {peer[name]}, cannot be reached from here: {why}."
            host, _, port = peer[name].rpartition(":")
            yield warn("reachability", name, what, f"nc -vz {host.strip('[]')} {port}")
    if not evidence.silent and not evidence.closed:
        number = len(evidence.statuses)
        yield well("reachability", f"All nodes ({number}) answer, and their peer ports are open.")


def disks(evidence: Evidence) -> Iterator[Finding]:
    """The room on the disks, and how fast they make writes durable."""
    found = [finding for name, known in _resources(evidence) for finding in _disk(name, known)]
    yield from found
    local = evidence.disk
    if local is not None:
        text = (
            f"In {local.directory} half of the syncs take at most {local.sync_ms:g} ms and all at "
            f"most {local.slowest_ms:g} ms; {format_size(local.free_bytes)} are free"
        )
        if local.sync_ms > SLOW_SYNC_MS:
            yield warn("disk", local.directory, f"{text}.", "iostat -x 1 5")
        else:
            yield well("disk", f"{text}.")
        if local.free_bytes < DISK_LOW * local.total_bytes:
            text = f"{format_size(local.free_bytes)} are free in {local.directory}, less than 10%."
            yield warn("disk", local.directory, text, f"df -h {local.directory}")
    if not found and any(True for _ in _resources(evidence)):
        yield well("disk", "All nodes have room on their disks, and these are fast enough.")


def _disk(name: str, known: Resources) -> Iterator[Finding]:
    disk, journal, engine = known.disk, known.journal, known.engine
    see = f"kvorum status --server ADDRESS_OF_{name.upper()}"
    if disk is not None and disk.full:
        what = f"The disk of {name} is full, so it refuses new data: {_free(disk.free_bytes)}."
        yield fail("disk", name, what, "df -h")
    elif disk is not None and disk.free_bytes < DISK_LOW * disk.total_bytes:
        what = f"The disk of {name} is nearly full: {_free(disk.free_bytes)}."
        yield warn("disk", name, what, "df -h")
    if journal is not None:
        slow_ms = journal.sync_p50_ms
        if slow_ms is not None and slow_ms > SLOW_SYNC_MS:
            what = f"Half of the syncs of {name} take {slow_ms:g} ms or more."
            yield warn("disk", name, what, "kvorum doctor --data-dir DIRECTORY")
        if journal.lag_s > FLUSH_LAG_S:
            what = f"The journal of {name} has held records for {journal.lag_s:.0f} s."
            yield warn("disk", name, what, see)
    if engine is not None and engine.stopped:
        what = f"The storage engine of {name} takes no writes until it has caught up."
        yield fail("disk", name, what, "iostat -x 1 5")


def descriptors(evidence: Evidence) -> Iterator[Finding]:
    """Whether the nodes may open as many files as they need."""
    found = []
    for name, known in _resources(evidence):
        most, now = known.open_files_max, known.open_files
        raised = "ulimit -n 65536"
        if now is not None and now > FILES_HIGH * most:
            what = f"{name} has {now} files open, of at most {most}."
            found.append(warn("file descriptors", name, what, raised))
        elif most < FILES_FEW:
            what = f"{name} may open {most} files only, so few clients can connect."
            found.append(warn("file descriptors", name, what, raised))
    yield from found or [well("file descriptors", "All nodes may open as many files as they need.")]


def soundness(evidence: Evidence) -> Iterator[Finding]:
    """Whether what the nodes store can be read."""
    found = [
        finding for name, status in evidence.statuses.items() for finding in _sound(name, status)
    ]
    yield from found or [well("stored records", "No node knows of damaged records or files.")]


def _sound(name: str, status: Status) -> Iterator[Finding]:
    check, storage, waiting = "stored records", status.storage, status.waiting
    if storage is not None and storage.quarantine.damaged:
        what = f"{name} has {storage.quarantine.damaged} damaged records."
        yield fail(check, name, what, "kvorum scrub")
    if storage is not None and storage.damaged_files:
        files = ", ".join(storage.damaged_files)
        yield fail(check, name, f"{name} has damaged files: {files}.", "kvorum rebuild --help")
    if waiting is not None and waiting.unreadable:
        what = f"{waiting.unreadable} spans of tokens are damaged on all nodes that had them."
        yield fail(check, name, what, "kvorum repair --full")
    elif waiting is not None and waiting.tokens:
        what = (
            f"{name} does not answer for {waiting.tokens} spans of tokens until it has compared "
            "them with other nodes."
        )
        yield warn(check, name, what, "kvorum repair")
    if status.recovering:
        names = ", ".join(waiting.to_compare) if waiting is not None else ""
        others = names or "the others"
        what = f"{name} answers no reads until it has compared its data with {others}."
        yield warn(check, name, what, "kvorum status")
    if status.forgot:
        what = f"{name} has lost writes that it had acknowledged, and has not got them back."
        yield warn(check, name, what, "kvorum repair")


def _resources(evidence: Evidence) -> Iterator[tuple[str, Resources]]:
    for name, status in evidence.statuses.items():
        if status.resources is not None:
            yield name, status.resources


def _free(size: int) -> str:
    return f"{format_size(size)} are free"

"""`kvorum snapshot`: make, list, verify and delete snapshots of all nodes, and restore them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from kvorum.backup import layout
from kvorum.backup.catalog import summaries, summary_of
from kvorum.backup.layout import time_name
from kvorum.backup.progress import Progress
from kvorum.backup.reading import known_damage
from kvorum.backup.verification import verify as verify_snapshot
from kvorum.cli.connection import asks_cluster
from kvorum.cli.errors import Incomplete
from kvorum.cli.every_node import on_every_node
from kvorum.cli.key_sources import master_key_option, master_key_source
from kvorum.cli.moments import now_ms, to_the_second
from kvorum.cli.output import output_option, print_result
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.snapshots import jobs
from kvorum.cli.snapshots.restore import restore
from kvorum.cli.snapshots.restore_sources import snapshot_in
from kvorum.cli.stopped_node import stopped_node
from kvorum.client.each_node import Outcome, failures, reasons
from kvorum.client.url import Target
from kvorum.model.errors import KvorumError, PreconditionFailed, UnavailableError

_COLUMNS: Final = ("snapshot", "node", "made", "#files", "#bytes", "#shared", "state")

_data_dir: Final = click.option(
    "--data-dir",
    type=NonEmptyPath(file_okay=False, path_type=Path),
    help="Look into this node's data directory, and ask no server.",
)


class SnapshotDamaged(PreconditionFailed):
    """A snapshot is not what its node made."""

    code = "snapshot_damaged"


@click.group()
def snapshot() -> None:
    """Back up a cluster while it serves, and restore it.

    A snapshot is a directory on each node, DIR/snapshots/NAME, of hard links to the engine's
    files: making one copies next to nothing. Copy it elsewhere to survive the loss of the disk.

    \b
    kvorum snapshot create before-upgrade
    kvorum snapshot verify before-upgrade
    kvorum snapshot restore before-upgrade --from n1 --from n2 --from n3 --server HOST:PORT
    """


@snapshot.command()
@click.argument("name", required=False)
@asks_cluster
@output_option
def create(target: Target, name: str | None, output: str) -> None:
    """Make snapshot NAME on every node. Without NAME it is named after the time (UTC).

    It holds every write that was acknowledged before. What is written meanwhile may or may not be
    in it. The exit code is 7 if it was made, but holds records that are known to be damaged.

    \b
    kvorum snapshot create before-upgrade
    """
    chosen = name or time_name(now_ms())
    outcomes = on_every_node(target, lambda nodes: jobs.create(nodes, chosen))
    _print_outcomes(f"snapshot {chosen}", outcomes, output)
    command = f"kvorum snapshot delete {shlex.quote(chosen)}"
    _raise_failed(outcomes, UnavailableError, f" Remove the rest with '{command}'.")
    _raise_unreadable(chosen, outcomes)


@snapshot.command("list")
@_data_dir
@asks_cluster
@output_option
def list_snapshots(target: Target, data_dir: Path | None, output: str) -> None:
    """Show which snapshots there are.

    Shared bytes are in files that the store or other snapshots use too.

    \b
    kvorum snapshot list
    kvorum snapshot list --data-dir n1
    """
    if data_dir is None:
        by_node = on_every_node(target, jobs.snapshots)
        found = [{**one, "node": node} for node, some in by_node.items() for one in some]
    else:
        found = [_as_dict(summary) for summary in summaries(data_dir)]
    found = _oldest_first(found)
    print_result(output, {"snapshots": found}, "snapshots", _COLUMNS, map(_row, found))


@snapshot.command()
@click.argument("name")
@_data_dir
@master_key_option
@asks_cluster
@output_option
def verify(
    target: Target, name: str, data_dir: Path | None, master_key: str | None, output: str
) -> None:
    """Read all of snapshot NAME on every node, and compare it with what its node made.

    The exit code is 7 if it is the same, but holds records that were known to be damaged.

    \b
    kvorum snapshot verify before-upgrade
    kvorum snapshot verify before-upgrade --data-dir n1
    """
    if data_dir is None:
        outcomes = on_every_node(target, lambda nodes: jobs.verify(nodes, name))
    else:
        outcomes = {str(data_dir): _verified(data_dir, name, master_key)}
    _print_outcomes(f"snapshot {name}", outcomes, output)
    _raise_failed(outcomes, SnapshotDamaged, "")
    _raise_unreadable(name, outcomes)


@snapshot.command()
@click.argument("name")
@_data_dir
@asks_cluster
@output_option
def delete(target: Target, name: str, data_dir: Path | None, output: str) -> None:
    """Delete snapshot NAME on every node. With --data-dir, the node must be stopped.

    \b
    kvorum snapshot delete before-upgrade
    kvorum snapshot delete before-upgrade --data-dir n1
    """
    if data_dir is None:
        outcomes = on_every_node(target, lambda nodes: jobs.delete(nodes, name))
    else:
        path = snapshot_in(data_dir, name)
        with stopped_node(data_dir):
            layout.remove(path)
            layout.remove_incomplete(data_dir)
        outcomes = {str(data_dir): {"name": name}}
    _print_outcomes(f"deleted snapshot {name}", outcomes, output)
    _raise_failed(outcomes, UnavailableError, "")


snapshot.add_command(restore)


def _verified(data_dir: Path, name: str, master_key: str | None) -> Outcome:
    path = snapshot_in(data_dir, name)
    master = master_key_source(data_dir, master_key).load()
    try:
        summary = summary_of(path, verify_snapshot(path, master, Progress()))
        return _as_dict(summary) | {"unreadable": known_damage(path)}
    except KvorumError as error:
        return error


def _as_dict(summary: object) -> dict[str, Any]:
    return dict(msgspec.to_builtins(summary))


def _print_outcomes(title: str, outcomes: dict[str, Outcome], output: str) -> None:
    found = [_described(node, outcome) for node, outcome in outcomes.items()]
    print_result(output, {"nodes": found}, title, _COLUMNS, map(_row, found))


def _described(node: str, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, KvorumError):
        return {"node": node, "error": {"code": outcome.code, "message": outcome.message}}
    return {**outcome, "node": node}


def _oldest_first(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By when the first node made a snapshot of that name; those of one name by node."""
    begun: dict[str, int] = {}
    for one in found:
        made = one.get("created_ms", 0)
        begun[one["name"]] = min(begun.get(one["name"], made), made)
    return sorted(found, key=lambda one: (begun[one["name"]], one["name"], one.get("node", "")))


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    made = to_the_second(one.get("created_ms"))
    state = one.get("damage") or one.get("error", {}).get("message") or _soundness(one)
    numbers = (f"{one[field]:,}" if field in one else "" for field in ("files", "bytes"))
    shared = f"{one.get('shared_bytes', 0):,}" if "bytes" in one else ""
    return (one.get("name", ""), one.get("node", ""), made, *numbers, shared, state)


def _soundness(one: dict[str, Any]) -> str:
    unreadable = one.get("unreadable", 0)
    return f"{unreadable:,} damaged records" if unreadable else "ok"


def _raise_unreadable(name: str, outcomes: dict[str, Outcome]) -> None:
    """Raises Incomplete if records were damaged when their node made the snapshot."""
    damaged = {
        node: one["unreadable"]
        for node, one in outcomes.items()
        if not isinstance(one, KvorumError) and one.get("unreadable")
    }
    if damaged:
        counts = ", ".join(f"{count} of {node}" for node, count in damaged.items())
        raise Incomplete(
            f"Snapshot {name!r} is as its nodes made it, but records in it were damaged on disk "
            f"({counts}): a restore has them from the other nodes' snapshots, if they do. See "
            "'kvorum scrub', and make another."
        )


def _raise_failed(outcomes: dict[str, Outcome], kind: type[KvorumError], advice: str) -> None:
    failed = failures(outcomes)
    if failed:
        raise kind(
            f"{len(failed)} of {len(outcomes)} nodes failed: {reasons(failed).rstrip('.')}.{advice}"
        )

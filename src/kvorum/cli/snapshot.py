"""`kvorum snapshot`: make, list, verify and delete snapshots of all nodes, and restore them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kvorum.cli.connection import asks_cluster
from kvorum.cli.output import output_option, print_json, print_table
from kvorum.cli.snapshot_restore import restore
from kvorum.model.errors import KvorumError, PreconditionFailed, UnavailableError

if TYPE_CHECKING:
    from kvorum.cli.snapshot_nodes import Nodes, Outcome
    from kvorum.client.url import Target
    from kvorum.sealing.master_key import MasterKey

_COLUMNS: Final = ("snapshot", "node", "made", "#files", "#bytes", "#shared", "state")

_data_dir: Final = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Look into this node's data directory, and ask no server.",
)
_master_key: Final = click.option(
    "--master-key",
    metavar="SOURCE",
    help="With --data-dir: file:PATH, env:NAME or command:PROGRAM ARGUMENTS.  "
    "[default: file master.key in the data directory]",
)


class SnapshotDamaged(PreconditionFailed):
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
    """Make snapshot NAME on every node; without NAME it is called by the time (UTC).

    All that was acknowledged before is in it. What is written meanwhile may or may not be.
    """
    from kvorum.backup.layout import time_name

    chosen = name or time_name(int(time.time() * 1000))
    outcomes = _on_all(target, lambda nodes: nodes.create(chosen))
    _print_outcomes(f"snapshot {chosen}", outcomes, output)
    _raise_failed(
        outcomes, UnavailableError, f"; remove the rest with 'kvorum snapshot delete {chosen}'"
    )


@snapshot.command("list")
@_data_dir
@asks_cluster
@output_option
def list_snapshots(target: Target, data_dir: Path | None, output: str) -> None:
    """Show which snapshots there are. Shared bytes are those that the store or others have too."""
    if data_dir is None:
        by_node = _on_all(target, lambda nodes: nodes.snapshots())
        found = [{**one, "node": node} for node, some in by_node.items() for one in some]
    else:
        from kvorum.backup.catalog import summaries

        found = [_as_dict(summary) for summary in summaries(data_dir)]
    if output == "json":
        print_json({"snapshots": found})
    else:
        found.sort(key=lambda one: (one.get("created_ms", 0), one["name"], one.get("node", "")))
        print_table("snapshots", _COLUMNS, map(_row, found))


@snapshot.command()
@click.argument("name")
@_data_dir
@_master_key
@asks_cluster
@output_option
def verify(
    target: Target, name: str, data_dir: Path | None, master_key: str | None, output: str
) -> None:
    """Read all of snapshot NAME on every node, and compare it with what its node made."""
    if data_dir is None:
        outcomes = _on_all(target, lambda nodes: nodes.verify(name))
    else:
        outcomes = {str(data_dir): _verified(data_dir, name, master_key)}
    _print_outcomes(f"snapshot {name}", outcomes, output)
    _raise_failed(outcomes, SnapshotDamaged, "")


@snapshot.command()
@click.argument("name")
@_data_dir
@asks_cluster
@output_option
def delete(target: Target, name: str, data_dir: Path | None, output: str) -> None:
    """Delete snapshot NAME on every node. With --data-dir, the node must be stopped."""
    if data_dir is None:
        outcomes = _on_all(target, lambda nodes: nodes.delete(name))
    else:
        from kvorum.backup import layout
        from kvorum.cli.disk_errors import disk_errors
        from kvorum.storage.directory import exclusive

        path = layout.existing(data_dir, name)
        with exclusive(data_dir), disk_errors(data_dir):
            layout.remove(path)
            layout.remove_incomplete(data_dir)
        outcomes = {str(data_dir): {"name": name}}
    _print_outcomes(f"deleted snapshot {name}", outcomes, output)
    _raise_failed(outcomes, UnavailableError, "")


snapshot.add_command(restore)


def load_master_key(data_dir: Path, source: str | None) -> MasterKey:
    """The key of the node whose data is in `data_dir`. Raises ConfigError."""
    from kvorum.sealing.master_key import FileSource, parse_source

    found = FileSource(data_dir / "master.key") if source is None else parse_source(source)
    return found.load()


def _verified(data_dir: Path, name: str, master_key: str | None) -> Outcome:
    from kvorum.backup import layout
    from kvorum.backup.catalog import summary_of
    from kvorum.backup.progress import Progress
    from kvorum.backup.verification import verify as verify_snapshot

    path = layout.existing(data_dir, name)
    master = load_master_key(data_dir, master_key)
    try:
        return _as_dict(summary_of(path, verify_snapshot(path, master, Progress())))
    except KvorumError as error:
        return error


def _as_dict(summary: object) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.to_builtins(summary))


def _on_all(target: Target, work: Callable[[Nodes], Awaitable[Any]]) -> Any:
    from kvorum.cli.snapshot_nodes import Nodes
    from kvorum.runtime.loop import run

    async def on_all() -> Any:
        nodes = await Nodes.of(target)
        try:
            return await work(nodes)
        finally:
            await nodes.close()

    return run(on_all())


def _print_outcomes(title: str, outcomes: dict[str, Outcome], output: str) -> None:
    found = [_described(node, outcome) for node, outcome in outcomes.items()]
    if output == "json":
        print_json({"nodes": found})
    else:
        print_table(title, _COLUMNS, map(_row, found))


def _described(node: str, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, KvorumError):
        return {"node": node, "error": {"code": outcome.code, "message": outcome.message}}
    return {**outcome, "node": node}


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    state = one.get("damage") or one.get("error", {}).get("message") or "ok"
    numbers = (f"{one[field]:,}" if field in one else "" for field in ("files", "bytes"))
    shared = f"{one.get('shared_bytes', 0):,}" if "bytes" in one else ""
    return (one.get("name", ""), one.get("node", ""), _made(one), *numbers, shared, state)


def _made(one: dict[str, Any]) -> str:
    created_ms = one.get("created_ms")
    if created_ms is None:
        return ""
    return datetime.fromtimestamp(created_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _raise_failed(outcomes: dict[str, Outcome], kind: type[KvorumError], advice: str) -> None:
    failed = {node: error for node, error in outcomes.items() if isinstance(error, KvorumError)}
    if failed:
        reasons = "; ".join(f"{node}: {error.message}" for node, error in failed.items())
        raise kind(f"wanted it of {len(outcomes)} nodes, {len(failed)} failed: {reasons}{advice}")

"""`kvorum rebuild`: an empty store for a node whose files are damaged; its peers fill it."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from kvorum.backup import replacement
from kvorum.backup.layout import time_name
from kvorum.cli.moments import now_ms
from kvorum.cli.output import output_option, print_json
from kvorum.cli.stopped_node import stopped_node, stopped_node_option
from kvorum.model.errors import ConfigError
from kvorum.storage.identity import Identity


@click.command()
@stopped_node_option
@click.option("--discard", is_flag=True, help="Delete the damaged files at once.")
@click.option(
    "--lose-data", is_flag=True, help="Go on even if no other node is known to have the data."
)
@output_option
def rebuild(data_dir: Path, discard: bool, lose_data: bool, output: str) -> None:
    """Give a stopped node whose files are damaged an empty store and a new identity.

    When it is started, it gets its data from the other nodes, and answers no read before it has
    compared with all of them. The damaged files are moved aside; delete them when all is well.

    \b
    kvorum rebuild --data-dir n2
    """
    with stopped_node(data_dir):
        old = replacement.known_identity(data_dir)
        if not lose_data:
            _check_has_peers(data_dir, old)
        label = f"before-{time_name(now_ms())}"
        aside = replacement.empty(data_dir, label)
        if discard:
            _discard(aside)
    _print(data_dir, old, [] if discard else aside, output)


def _check_has_peers(data_dir: Path, old: Identity | None) -> None:
    if old is None:
        raise ConfigError(
            f"It is not known whether other nodes have the data of {data_dir}: its node.json is "
            "missing or damaged. If the other nodes of its cluster have it, repeat this with "
            "--lose-data."
        )
    others = set(old.names.values()) - {old.facts.node}
    if not others:
        raise ConfigError(
            f"{old.facts.node} in {data_dir} has never met another node, so nobody could give "
            "its data back. Restore a snapshot with 'kvorum snapshot restore NAME --data-dir', or "
            "repeat this with --lose-data."
        )


def _discard(aside: list[Path]) -> None:
    for path in aside:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _print(data_dir: Path, old: Identity | None, aside: list[Path], output: str) -> None:
    name = old.facts.node if old else "the node"
    if output == "json":
        print_json({"node": name, "data_dir": str(data_dir), "aside": [str(p) for p in aside]})
        return
    click.echo(f"{name} in {data_dir} has an empty store and will be a new node of its name")
    for path in aside:
        click.echo(f"moved aside: {path}")
    click.echo("start it: it fills itself from the other nodes, and answers no read before that")

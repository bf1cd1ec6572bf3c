"""`kvorum namespace`: which namespaces there are, and changing them, on every node."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from kvorum.cli.confirmation import confirm
from kvorum.cli.connection import asks_cluster, with_options
from kvorum.cli.errors import Incomplete
from kvorum.cli.every_node import EveryNode, on_every_node
from kvorum.cli.output import output_option, print_json, print_result, print_table
from kvorum.cli.parameter_types import Ttl
from kvorum.client import namespace_changes, node_requests
from kvorum.client.each_node import Documents, reasons
from kvorum.client.namespace_changes import agreed_moment, differences
from kvorum.client.options import check_namespace
from kvorum.client.url import Target
from kvorum.model.sizes import format_size, parse_size
from kvorum.model.topology import DEFAULT_TIMEOUT_MS

_R = TypeVar("_R")
_COUNT: Final = click.IntRange(1, 1000)


@click.group()
def namespace() -> None:
    """Make, alter, list, drop and shred namespaces."""


def _settings_of_all(command: Callable[..., _R]) -> Callable[..., _R]:
    """Options for what can be altered, too; given as one dict `fields` of those that are there."""

    @functools.wraps(command)
    def with_fields(*arguments: Any, output: str, name: str, **options: Any) -> _R:
        fields = {field: value for field, value in options.items() if value is not None}
        if "max_memory" in fields:
            fields["max_memory"] = parse_size(fields["max_memory"])
        return command(*arguments, name=name, output=output, fields=fields)

    return with_options(
        click.option("--read", type=_COUNT, help="Replicas that answer a read.  [new: a majority]"),
        click.option(
            "--write", type=_COUNT, help="Replicas that acknowledge a write.  [new: a majority]"
        ),
        click.option(
            "--durability",
            type=click.Choice(("fsync", "os", "none")),
            help="Where a write is when it is acknowledged.  [new: fsync]",
        ),
        click.option(
            "--quorum",
            type=click.Choice(("strict", "sloppy")),
            help="Whether others may stand in for owners.  [new: strict]",
        ),
        click.option(
            "--timeout-ms",
            type=click.IntRange(1),
            help=f"The timeout of requests without one, in ms.  [new: {DEFAULT_TIMEOUT_MS}]",
        ),
        click.option(
            "--ttl",
            type=Ttl(),
            metavar="TIME",
            help="How long an entry lives: seconds, or as in 90s, 1h30m, 7d; 0 is for ever.  "
            "[new: 0]",
        ),
        click.option(
            "--compression",
            type=click.Choice(("zstd", "off")),
            help="How records are compressed.  [new: zstd]",
        ),
        click.option(
            "--compression-level",
            type=click.IntRange(1, 9),
            help="From 1, fast, to 9, small.  [new: 3]",
        ),
        click.option(
            "--dictionary/--no-dictionary",
            default=None,
            help="Train a dictionary on the data.  [new: yes]",
        ),
        click.option(
            "--eviction",
            type=click.Choice(("lru", "lfu", "tinylfu")),
            help="Which entry a full cache evicts.  [new: lru]",
        ),
        click.option(
            "--max-memory",
            metavar="SIZE",
            help="On each node, as in 64MB; required with durability none, and only there.",
        ),
    )(with_fields)


@namespace.command()
@click.argument("name")
@click.option("--replicas", type=_COUNT, help="Copies of an entry.  [default: 3, or all nodes]")
@click.option(
    "--encryption",
    type=click.Choice(("on", "off")),
    help="Whether records are encrypted.  [new: on]",
)
@click.option(
    "--hash-tags/--no-hash-tags",
    default=None,
    help="Keys as user:{7}:cart are placed by what is in braces, so they are together.  [new: yes]",
)
@asks_cluster
@_settings_of_all
@output_option
def create(target: Target, name: str, fields: dict[str, Any], output: str) -> None:
    """Make the namespace NAME on every node.

    Settings that are left out are those of the nodes that have NAME, or else the defaults. Nodes
    that have it with these settings are left as they are. So a failed command can be repeated, and
    a node that lost its disk gets NAME again. All nodes must be up.

    \b
    kvorum namespace create sessions --ttl 1h --durability none --max-memory 64MB
    """
    documents = _change(target, name, lambda n: namespace_changes.create(n, name, fields))
    _print_done(name, documents, output, "serves it")


@namespace.command()
@click.argument("name")
@asks_cluster
@_settings_of_all
@output_option
def alter(target: Target, name: str, fields: dict[str, Any], output: str) -> None:
    """Change settings of the namespace NAME on every node.

    The number of replicas, encryption, hash tags, and whether it is kept in memory cannot be
    changed. All nodes must be up; a command that failed in the middle can be repeated. What the
    options below call 'new' is what a new namespace has.

    \b
    kvorum namespace alter sessions --ttl 10m
    """
    if not fields:
        raise click.UsageError(
            "No setting is named. Name those to change, as --ttl; --help lists them."
        )
    documents = _change(target, name, lambda n: namespace_changes.alter(n, name, fields))
    _print_done(name, documents, output, "altered")


@namespace.command("list")
@asks_cluster
@output_option
def list_namespaces(target: Target, output: str) -> None:
    """Show the namespaces and their settings on every node.

    If a node does not answer, it is named, and the exit code is 7.

    \b
    kvorum namespace list
    """
    request = node_requests.namespaces()
    documents, failed = on_every_node(target, lambda nodes: nodes.ask_those_up(request))
    differing = differences(documents)
    if output == "json":
        print_json({"differing": differing, "nodes": documents})
    else:
        _print_namespaces(documents, len(documents) + len(failed))
        for name in differing:
            click.echo(f"the nodes do not agree on {name}: create, alter or drop it", err=True)
    if failed:
        raise Incomplete(
            f"The namespaces of {', '.join(failed)} are not shown ({reasons(failed)}); list them "
            "again when 'kvorum status' shows all nodes up."
        )


@namespace.command()
@click.argument("name")
@click.option("--shred", is_flag=True, help="The same as 'kvorum namespace shred'.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_cluster
@output_option
def drop(target: Target, name: str, shred: bool, yes: bool, output: str) -> None:
    """End the namespace NAME on every node, and destroy all that it holds.

    Its keys are destroyed, so copies of the data directories cannot be read any more. Snapshots,
    which have keys of their own, and exports can. Data that is not encrypted is deleted from the
    disk in the background. All nodes must be up; a failed command can be repeated.

    \b
    kvorum namespace drop sessions
    """
    if shred:
        _shred(target, name, yes, output)
        return
    check_namespace(name)
    if not yes:
        confirm(f"Drop namespace {name!r} and destroy all its data, for good?")
    documents = _change(target, name, lambda nodes: namespace_changes.drop(nodes, name))
    _print_done(name, documents, output, "dropped")


@namespace.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_cluster
@output_option
def shred(target: Target, name: str, yes: bool, output: str) -> None:
    """Destroy the keys of namespace NAME on every node, and so all that it holds.

    The namespace stays, empty, with new keys. All nodes must be up.

    \b
    kvorum namespace shred sessions
    """
    _shred(target, name, yes, output)


def _shred(target: Target, name: str, yes: bool, output: str) -> None:
    check_namespace(name)
    if not yes:
        confirm(f"Destroy all data of namespace {name!r}, for good?")

    async def run(nodes: EveryNode) -> Documents:
        before_ms = agreed_moment(await nodes.ask(node_requests.keys()))
        return await nodes.ask(node_requests.shred(name, before_ms))

    documents = _change(target, name, run)
    _print_done(name, documents, output, "its keys are destroyed")


def _change(target: Target, name: str, act: Callable[[EveryNode], Any]) -> Documents:
    check_namespace(name)
    documents: Documents = on_every_node(target, act)
    return documents


def _print_done(name: str, documents: Documents, output: str, state: str) -> None:
    rows = [(node, state) for node in documents]
    print_result(output, documents, f"namespace {name}", ("node", "state"), rows)


def _print_namespaces(documents: Documents, nodes: int) -> None:
    columns = ("namespace", "nodes", "#N", "#R", "#W", "durability", "quorum", "#ttl", "sealing")
    print_table("namespaces", (*columns, "#memory"), _rows(documents, nodes))


def _rows(documents: Documents, nodes_in_all: int) -> list[tuple[object, ...]]:
    """A row for each namespace, or several where nodes have it with different settings."""
    names = {name for document in documents.values() for name in document["namespaces"]}
    rows: list[tuple[object, ...]] = []
    for name in sorted(names):
        holders: dict[str, tuple[dict[str, Any], list[str]]] = {}
        for node, document in documents.items():
            settings = document["namespaces"].get(name)
            if settings is not None:
                holders.setdefault(repr(settings), (settings, []))[1].append(node)
        for settings, nodes in holders.values():
            where = "all" if len(nodes) == nodes_in_all else ", ".join(nodes)
            rows.append((name, where, *_cells(settings)))
    for node, document in documents.items():
        rows += [(name, node, *[""] * 6, "being deleted", "") for name in document["removals"]]
    return rows


def _cells(settings: dict[str, Any]) -> tuple[object, ...]:
    encrypted = "encrypted" if settings["encryption"] == "on" else "open"
    packed = settings["compression"]
    sealing = encrypted if packed == "off" else f"{encrypted}, {packed}"
    if settings["durability"] == "none":
        sealing = ""
    return (
        settings["replicas"],
        settings["read"],
        settings["write"],
        settings["durability"],
        settings["quorum"],
        settings["ttl"] or "",
        sealing,
        format_size(settings["max_memory"]) if settings["max_memory"] else "",
    )

"""`kvorum namespace`: which namespaces there are, and changing them, on every node."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from kvorum.cli.connection import asks_cluster
from kvorum.cli.errors import Incomplete
from kvorum.cli.output import output_option, print_json, print_table
from kvorum.model.errors import PreconditionFailed

if TYPE_CHECKING:
    from kvorum.cli.every_node import Documents, EveryNode
    from kvorum.client.url import Target

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
            from kvorum.model.sizes import parse_size

            fields["max_memory"] = parse_size(fields["max_memory"])
        return command(*arguments, name=name, output=output, fields=fields)

    options = (
        click.option("--read", type=_COUNT, help="Replicas that answer a read."),
        click.option("--write", type=_COUNT, help="Replicas that acknowledge a write."),
        click.option(
            "--durability", type=click.Choice(("fsync", "os", "none")), help="What an ack means."
        ),
        click.option(
            "--quorum", type=click.Choice(("strict", "sloppy")), help="Who may answer for owners."
        ),
        click.option("--timeout-ms", type=click.IntRange(1), help="For requests that name none."),
        click.option("--ttl", type=click.IntRange(0), help="Seconds an entry lives; 0: for ever."),
        click.option("--compression", type=click.Choice(("zstd", "off")), help="Of records."),
        click.option("--compression-level", type=click.IntRange(1, 9), help="9 is the smallest."),
        click.option("--dictionary/--no-dictionary", default=None, help="Train one on the data."),
        click.option(
            "--eviction",
            type=click.Choice(("lru", "lfu", "tinylfu")),
            help="What a full cache gives up.",
        ),
        click.option(
            "--max-memory", metavar="SIZE", help="On each node; with durability none only."
        ),
    )
    decorated: Callable[..., _R] = with_fields
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


@namespace.command()
@click.argument("name")
@click.option("--replicas", type=_COUNT, help="Copies of an entry.  [default: 3, or all nodes]")
@click.option("--encryption", type=click.Choice(("on", "off")), help="Of values and key names.")
@asks_cluster
@_settings_of_all
@output_option
def create(target: Target, name: str, fields: dict[str, Any], output: str) -> None:
    """Make the namespace NAME on every node.

    What is left out is as on the nodes that have it, or else as usual. Nodes that have it with
    these settings are left as they are. So a command that failed in the middle can be repeated, and
    a node that lost its disk gets NAME again. All nodes must be up.

    \b
    kvorum namespace create sessions --ttl 3600 --durability none --max-memory 64MB
    """
    from kvorum.client import namespace_changes

    documents = _change(target, name, lambda n: namespace_changes.create(n, name, fields))
    _print_done(name, documents, output, "serves it")


@namespace.command()
@click.argument("name")
@asks_cluster
@_settings_of_all
@output_option
def alter(target: Target, name: str, fields: dict[str, Any], output: str) -> None:
    """Change settings of the namespace NAME on every node.

    How many replicas it has, and whether it is encrypted or kept in memory, stays as it is. All
    nodes must be up; a command that failed in the middle can be repeated.

    \b
    kvorum namespace alter sessions --ttl 600
    """
    from kvorum.client import namespace_changes

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
    """Which namespaces there are, with their settings, as every node has them.

    Those of a node that is away are missing; it is named, and the exit code is 7.

    \b
    kvorum namespace list
    """
    from kvorum.cli.every_node import on_every_node, reasons
    from kvorum.client import namespace_requests
    from kvorum.client.namespace_changes import differences

    request = namespace_requests.namespaces()
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

    Copies of the data directories, wherever they are, become unreadable as far as they need the
    keys that are destroyed; not snapshots, which have their own keyring, nor exports. What lies
    open (encryption off) is deleted from the disk in the background. All nodes must be up; a
    command that failed in the middle can be repeated.

    \b
    kvorum namespace drop sessions
    """
    from kvorum.client import namespace_changes
    from kvorum.client.url import check_namespace

    if shred:
        _shred(target, name, yes, output)
        return
    check_namespace(name)
    if not yes:
        _confirm(f"Drop namespace {name!r} and destroy all its data, for good?")
    documents = _change(target, name, lambda nodes: namespace_changes.drop(nodes, name))
    _print_done(name, documents, output, "dropped")


@namespace.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_cluster
@output_option
def shred(target: Target, name: str, yes: bool, output: str) -> None:
    """Destroy the keys of namespace NAME on every node, and with them all that it holds.

    The namespace goes on, empty, with new keys. All nodes must be up.

    \b
    kvorum namespace shred sessions
    """
    _shred(target, name, yes, output)


def _shred(target: Target, name: str, yes: bool, output: str) -> None:
    from kvorum.client import key_requests
    from kvorum.client.namespace_changes import agreed_moment
    from kvorum.client.url import check_namespace

    check_namespace(name)
    if not yes:
        _confirm(f"Destroy all data of namespace {name!r}, for good?")

    async def run(nodes: EveryNode) -> Documents:
        before_ms = agreed_moment(await nodes.ask(key_requests.keys()))
        return await nodes.ask(key_requests.shred(name, before_ms))

    documents = _change(target, name, run)
    _print_done(name, documents, output, "its keys are destroyed")


def _change(target: Target, name: str, act: Callable[[EveryNode], Any]) -> Documents:
    from kvorum.cli.every_node import on_every_node
    from kvorum.client.url import check_namespace

    check_namespace(name)
    documents: Documents = on_every_node(target, act)
    return documents


def _print_done(name: str, documents: Documents, output: str, state: str) -> None:
    if output == "json":
        print_json(documents)
    else:
        rows = [(node, state) for node in documents]
        print_table(f"namespace {name}", ("node", "state"), rows)


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
    from kvorum.model.sizes import format_size

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


def _confirm(question: str) -> None:
    """Raises PreconditionFailed, also if there is nobody to answer."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise PreconditionFailed(
            "Nothing was changed, since the answer was not yes. --yes says it without being asked."
        )

"""`kvorum status`, `ring` and `locate`: what the cluster tells of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kvorum.cli.connection import asks_cluster, asks_namespace, open_client
from kvorum.cli.output import output_option, print_json, print_table

if TYPE_CHECKING:
    from kvorum.cli.documents import (
        Location,
        Ring,
        Status,
        StatusCache,
        StatusNode,
        StatusRounds,
    )
    from kvorum.client.url import Target

_T = TypeVar("_T")


@click.command()
@asks_cluster
@output_option
def status(target: Target, output: str) -> None:
    """Show the nodes and namespaces of a cluster, as the server that answers sees them.

    State, since when, and phi (how surprising the node's silence is) are that server's view;
    "disagree" names the nodes that last told it another. Hints are writes a node has missed,
    kept for it by the server that answers.

    \b
    kvorum status
    kvorum status --server 127.0.0.1:7401 -o json
    """
    with open_client(target) as client:
        document = client.status()
    if output == "json":
        print_json(document)
    else:
        from kvorum.cli.documents import Status

        _print_status(_read(document, Status))


@click.command()
@asks_cluster
@output_option
def ring(target: Target, output: str) -> None:
    """Show how the partitions are shared among the nodes.

    A node leads the partitions it is the first replica of. Its fair share is what its weight
    entitles it to; the balance is the fullest node's share over its fair one.
    """
    with open_client(target) as client:
        document = client.ring()
    if output == "json":
        print_json(document)
    else:
        from kvorum.cli.documents import Ring

        _print_ring(_read(document, Ring))


@click.command()
@click.argument("key")
@asks_namespace
@output_option
def locate(target: Target, key: str, output: str) -> None:
    """Show which nodes hold KEY, in the order of preference, and what each of them has.

    \b
    current      it has all that any reachable replica has
    stale        it has missed writes
    absent       it has nothing, not even a deletion
    unreachable  it did not answer

    \b
    kvorum locate user:7
    """
    with open_client(target) as client:
        document = client.locate(key)
    if output == "json":
        print_json(document)
    else:
        from kvorum.cli.documents import Location

        _print_location(_read(document, Location))


def _read(document: dict[str, Any], kind: type[_T]) -> _T:
    import msgspec

    from kvorum.model.errors import ProtocolError

    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(
            f"the server speaks of itself in a way this version does not know ({error}); "
            "use -o json, or a kvorum of the server's version"
        ) from error


def _print_status(status: Status) -> None:
    print_table(
        f"cluster {status.cluster}, epoch {status.epoch}, seen by {status.node} "
        f"(kvorum {status.version}, up {timedelta(seconds=int(status.uptime_s))})",
        (
            "node",
            "state",
            "since",
            "#phi",
            "disagree",
            "http",
            "peer",
            "dc",
            "rack",
            "host",
            "#weight",
            "#hints",
            "#oldest",
            "#hints/s",
        ),
        [
            (
                node.name,
                _state(node, status),
                _moment(node.since_ms),
                f"{node.phi:.1f}",
                ", ".join(node.dissenters),
                node.http,
                node.peer,
                node.dc,
                node.rack,
                node.host,
                f"{node.weight:g}",
                node.hints_owed,
                f"{node.hints.oldest_s:.0f} s" if node.hints and node.hints.pending else "",
                f"{node.hints.per_second:.0f}" if node.hints and node.hints.pending else "",
            )
            for node in status.nodes
        ],
    )
    print_table(
        "namespaces",
        ("namespace", "#replicas", "#read", "#write", "quorum", "durability"),
        [
            (name, space.replicas, space.read, space.write, space.quorum, space.durability)
            for name, space in status.namespaces.items()
        ],
    )
    if status.caches:
        _print_caches(status.caches)
    if status.storage is not None:
        from kvorum.cli.storage_table import print_storage

        print_storage(status.storage)
    if status.anti_entropy is not None:
        _print_rounds(status.anti_entropy)


def _state(node: StatusNode, status: Status) -> str:
    """As the answering server sees it. A node may live and yet have no link to that server."""
    if node.name == status.node:
        return "recovering" if status.recovering else "up"
    if node.state == "up" and not node.up:
        return "down" if node.linked else "no link"
    return node.state


def _print_caches(caches: dict[str, StatusCache]) -> None:
    from kvorum.model.sizes import format_size

    print_table(
        "in memory",
        ("namespace", "#entries", "#size", "#hits", "#evicted"),
        [
            (
                name,
                cache.entries,
                format_size(cache.bytes),
                "" if cache.hit_ratio is None else f"{cache.hit_ratio:.1%}",
                cache.evicted,
            )
            for name, cache in caches.items()
        ],
    )


def _moment(wall_ms: int) -> str:
    if not wall_ms:
        return ""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(" ", "seconds")


def _print_rounds(rounds: StatusRounds) -> None:
    oldest = "not yet"
    if rounds.oldest_round_ms is not None:
        oldest = _moment(rounds.oldest_round_ms)
    print_table(
        "replicas compared",
        ("#partitions", "#compared", "all compared since", "#records repaired"),
        [(rounds.partitions, rounds.compared, oldest, rounds.repaired)],
    )


def _print_ring(ring: Ring) -> None:
    print_table(
        f"{ring.partitions} partitions, balance {ring.balance:.3f}",
        ("node", "#weight", "#tokens", "#leads", "#follows", "#share", "#fair share"),
        [
            (
                node.name,
                f"{node.weight:g}",
                node.tokens,
                node.primary,
                node.replica,
                f"{node.share:.1%}",
                f"{node.fair_share:.1%}",
            )
            for node in ring.nodes
        ],
    )


def _print_location(location: Location) -> None:
    print_table(
        f"{location.key} in {location.namespace}: token {location.token}, "
        f"partition {location.partition}",
        ("#", "node", "reachable", "state", "clock"),
        [
            (
                place,
                replica.node,
                "yes" if replica.up else "no",
                replica.state,
                ", ".join(f"{node}:{counter}" for node, counter, _ in replica.clock or ()),
            )
            for place, replica in enumerate(location.replicas, 1)
        ],
    )

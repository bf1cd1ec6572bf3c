"""`kvorum status`: the nodes and namespaces of a cluster, and how the answering server fares."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import click

from kvorum.cli.connection import asks_cluster
from kvorum.cli.inspection.entry_totals import EntryTotals, status_and_totals
from kvorum.cli.inspection.status_watch import watch_status
from kvorum.cli.inspection.storage_table import print_storage
from kvorum.cli.moments import to_the_second
from kvorum.cli.output import output_option, print_json, print_records, print_table
from kvorum.cli.parameter_types import Seconds
from kvorum.client.url import Target
from kvorum.cluster.clock_notices import apart, difference
from kvorum.documents.reading import read
from kvorum.documents.status import (
    AntiEntropyStatus,
    CacheStatus,
    Connections,
    NodeStatus,
    Status,
    Waiting,
)
from kvorum.model.sizes import format_size

_END_OF_DAMAGE: Final = (
    "to end that: run 'kvorum repair --full'; write or delete the damaged keys again; or give each "
    "of the nodes with the damage an empty store with 'kvorum rebuild', one after another"
)


@click.command()
@click.option(
    "--watch",
    type=Seconds(),
    is_flag=False,
    flag_value=2.0,
    metavar="[SECONDS]",
    help="Show again and again how all nodes fare, with rates per second, until Ctrl-C.",
)
@asks_cluster
@output_option
def status(target: Target, output: str, watch: float | None) -> None:
    """Show the nodes and namespaces of a cluster, as the server that answers sees them.

    \b
    state            what that server takes the node for
    since            when that began, or when the node last started
    silence          how unusually long the node has not been heard: near 0 is as usual, and
                     above 8 it is suspected to be down (phi of an accrual failure detector)
    seen otherwise   nodes that take it for something else
    hints            writes that the node has missed, kept for it by that server
    entries, bytes   of the whole cluster, each entry counted once however many replicas it has
    read and checked when all that is stored on that server was last looked through by the
                     scrub, which finds damage

    \b
    kvorum status
    kvorum status --server 127.0.0.1:7401 -o json
    kvorum status --watch 5
    """
    if watch is not None:
        watch_status(target, watch, output)
        return
    document, totals = status_and_totals(target)
    if output == "json":
        print_json(document)
    else:
        _print_status(read(document, Status), totals)


def _print_status(status: Status, totals: EntryTotals) -> None:
    print_records(
        f"cluster {status.cluster}, epoch {status.epoch}, seen by {status.node} "
        f"(kvorum {status.version}, up {timedelta(seconds=int(status.uptime_s))})",
        [_node(node, status) for node in status.nodes],
    )
    _print_clocks(status)
    _print_namespaces(status, totals)
    if status.waiting is not None:
        _print_waiting(status.waiting)
    if status.caches:
        _print_caches(status.caches)
    if status.storage is not None:
        print_storage(status.storage)
    if status.anti_entropy is not None:
        _print_rounds(status.anti_entropy)
    if status.connections is not None:
        _print_connections(status.connections)


def _node(node: NodeStatus, status: Status) -> dict[str, object]:
    hints = node.hints if node.hints and node.hints.pending else None
    return {
        "node": node.name,
        "state": _state(node, status),
        "http": node.http,
        "peer": node.peer,
        "since": to_the_second(node.since_ms),
        "#silence": f"{node.phi:.1f}",
        "seen otherwise by": ", ".join(node.dissenters),
        "#hints": node.hints_owed,
        "#oldest": f"{hints.oldest_s:.0f} s" if hints else "",
        "#hints/s": f"{hints.per_second:.0f}" if hints else "",
        "dc": node.dc,
        "rack": node.rack,
        "host": node.host,
        "#weight": f"{node.weight:g}",
    }


def _state(node: NodeStatus, status: Status) -> str:
    """As the answering server sees it. A node may live and yet have no link to that server."""
    if node.name == status.node:
        return "recovering" if status.recovering else "up"
    if node.state == "up" and not node.up:
        return "down" if node.linked else "no link"
    return node.state


def _print_namespaces(status: Status, totals: EntryTotals) -> None:
    reservation = totals.reservation
    print_records(
        "namespaces, with entries and bytes of the whole cluster"
        + (f" ({reservation})" if reservation else ""),
        [
            {
                "namespace": name,
                "#entries": f"{totals.keys.get(name, 0):,}",
                "#bytes": format_size(totals.bytes.get(name, 0)),
                "#replicas": space.replicas,
                "#read": space.read,
                "#write": space.write,
                "quorum": space.quorum,
                "durability": space.durability,
            }
            for name, space in status.namespaces.items()
        ],
    )


def _print_clocks(status: Status) -> None:
    """Only where there is something to set right."""
    known = enumerate(node.clock_ahead_ms for node in status.nodes)
    differing = apart({number: ahead_ms for number, ahead_ms in known if ahead_ms is not None})
    for number, ahead_ms in differing.items():
        name = status.nodes[number].name
        print_table(f"the clock of {name} is {difference(ahead_ms)} that of {status.node}", (), [])
    if status.clock is not None and status.clock.state in ("wrong", "disputed", "accepted"):
        print_table(f"the clock of {status.node} is {status.clock.state}", (), [])


def _print_waiting(waiting: Waiting) -> None:
    if waiting.to_compare:
        names = ", ".join(waiting.to_compare)
        print_table(f"this server answers no reads until it has compared with {names}", (), [])
    if waiting.unreadable_listed:
        print_records(
            f"damaged wherever they were ({waiting.unreadable}), not answered for by this server",
            [
                {
                    "first token": run.first_token,
                    "last token": run.last_token,
                    "#partition": run.partition,
                    "since": to_the_second(run.since_ms),
                    "damaged on": ", ".join(run.nodes),
                }
                for run in waiting.unreadable_listed
            ],
        )
        print_table(_END_OF_DAMAGE, (), [])


def _print_caches(caches: dict[str, CacheStatus]) -> None:
    print_records(
        "in memory",
        [
            {
                "namespace": name,
                "#entries": cache.entries,
                "#size": format_size(cache.bytes),
                "#hits": "" if cache.hit_ratio is None else f"{cache.hit_ratio:.1%}",
                "#evicted": cache.evicted,
            }
            for name, cache in caches.items()
        ],
    )


def _print_connections(connections: Connections) -> None:
    print_table(
        "client connections",
        ("#open", "#at most", "#given up while idle", "#refused"),
        [(connections.open, connections.max, connections.given_up, connections.refused)],
    )


def _print_rounds(rounds: AntiEntropyStatus) -> None:
    oldest = "not yet"
    if rounds.oldest_round_ms is not None:
        oldest = to_the_second(rounds.oldest_round_ms)
    print_table(
        "replicas compared",
        ("#partitions", "#compared", "all compared since", "#records repaired"),
        [(rounds.partitions, rounds.compared, oldest, rounds.repaired)],
    )

"""`kvorum ring` and `locate`: which nodes have which data."""

from __future__ import annotations

import click

from kvorum.cli.connection import asks_cluster, asks_namespace, open_client
from kvorum.cli.output import output_option, print_json, print_records
from kvorum.client.url import Target
from kvorum.documents.location import Location
from kvorum.documents.reading import read
from kvorum.documents.ring import Ring


@click.command()
@asks_cluster
@output_option
def ring(target: Target, output: str) -> None:
    """Show how the partitions are shared among the nodes.

    A node leads the partitions whose first replica it is. Its fair share is given by its weight.
    The balance is the share of the fullest node divided by its fair share.

    \b
    kvorum ring
    kvorum ring -o json
    """
    with open_client(target) as client:
        document = client.ring()
    if output == "json":
        print_json(document)
    else:
        _print_ring(read(document, Ring))


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
        _print_location(read(document, Location))


def _print_ring(ring: Ring) -> None:
    print_records(
        f"{ring.partitions} partitions, balance {ring.balance:.3f}",
        [
            {
                "node": node.name,
                "#weight": f"{node.weight:g}",
                "#tokens": node.tokens,
                "#leads": node.primary,
                "#follows": node.replica,
                "#share": f"{node.share:.1%}",
                "#fair share": f"{node.fair_share:.1%}",
            }
            for node in ring.nodes
        ],
    )


def _print_location(location: Location) -> None:
    print_records(
        f"{location.key} in {location.namespace}: token {location.token}, "
        f"partition {location.partition}",
        [
            {
                "#": place,
                "node": replica.node,
                "reachable": "yes" if replica.up else "no",
                "state": replica.state,
                "clock": ", ".join(f"{node}:{counter}" for node, counter, _ in replica.clock or ()),
            }
            for place, replica in enumerate(location.replicas, 1)
        ],
    )

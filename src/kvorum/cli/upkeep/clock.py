"""`kvorum clock accept`: say that a node's clock is right, though the others show another time."""

from __future__ import annotations

import click

from kvorum.cli.connection import asks_cluster
from kvorum.cli.every_node import on_every_node
from kvorum.cli.output import output_option, print_result
from kvorum.client import requests
from kvorum.client.url import Target
from kvorum.documents.reading import read
from kvorum.documents.status import AcceptedClock


@click.group()
def clock() -> None:
    """Say which clock of a cluster is right."""


@clock.command()
@click.argument("node")
@asks_cluster
@output_option
def accept(target: Target, node: str, output: str) -> None:
    """Have NODE take its clock for right, until the clock jumps or the node is started again.

    A node whose clock differs from that of the majority gives no lifetimes and expires nothing. It
    is better to set the wrong clock. Use this if that cannot be done soon, and no majority of nodes
    agrees on the time.

    \b
    kvorum clock accept n1
    """
    document = on_every_node(target, lambda nodes: nodes.ask_one(node, requests.accept_clock()))
    accepted = read(document, AcceptedClock)
    row = (accepted.node, accepted.clock.state)
    print_result(output, document, "clock", ("node", "its clock is"), [row])

#!/usr/bin/env python3
"""How many rounds of gossip it takes until every node knows: of a birth, and of a death.

On simulated time; a round is one interval of the default settings. Prints a Markdown table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean
from typing import Final, NamedTuple

import click
from membership_world import World

SIZES: Final = (3, 10, 30, 100, 300)
_WARM_UP_S: Final = 15.0
_SETTLE_S: Final = 5.0
"""Less than the time after which the others miss a node that has never come."""
_LIMIT_S: Final = 60.0


class Rounds(NamedTuple):
    """Until all know a new node; until the first node suspects a killed one; until all do."""

    birth: float
    suspicion: float
    death: float


def measure(world: World) -> Rounds:
    """Of `world`, whose nodes are not yet started."""
    last = world.nodes - 1
    for node in range(last):
        world.start(node)
    world.run_for(_SETTLE_S)
    world.start(last)
    birth = world.run_until(lambda: world.all_know(last), _LIMIT_S)
    world.run_for(_WARM_UP_S)
    killed_at = world.now
    world.kill(last)
    death = world.run_until(lambda: world.all_see(last, available=False), _LIMIT_S)
    first = next(at for at, _, node, _ in world.changes if node == last and at >= killed_at)
    interval_s = world.settings.interval_s
    return Rounds(birth / interval_s, (first - killed_at) / interval_s, death / interval_s)


def row(nodes: int, seeds: int, network: Callable[[int, int], World]) -> str:
    runs = [measure(network(nodes, seed)) for seed in range(seeds)]
    cells = [f"{fmean(column):.1f} ({max(column):.1f})" for column in zip(*runs, strict=True)]
    return f"| {nodes} | {math.log2(nodes):.1f} | {' | '.join(cells)} |"


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--loss", type=click.FloatRange(0, 1), default=0.0, show_default=True)
@click.option("--jitter", "jitter_s", type=click.FloatRange(0), default=0.0, help="Seconds.")
@click.option("--nodes", "sizes", type=click.IntRange(2, 1000), multiple=True, default=SIZES)
def main(seeds: int, loss: float, jitter_s: float, sizes: tuple[int, ...]) -> None:
    click.echo("| nodes | log2 | all know a new node | a death is suspected | all know the death |")
    click.echo("|---|---|---|---|---|")
    for nodes in sizes:
        click.echo(row(nodes, seeds, lambda n, s: World(n, s, loss=loss, jitter_s=jitter_s)))


if __name__ == "__main__":
    main()

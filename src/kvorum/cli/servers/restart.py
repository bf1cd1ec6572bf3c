"""`kvorum restart --rolling`: restarts the nodes of the local cluster, one after another."""

from __future__ import annotations

from pathlib import Path

import click

from kvorum.cli.output import output_option, print_json
from kvorum.cli.servers.options import running_data_dir_option
from kvorum.devcluster.control import restart_rolling


@click.command()
@click.option(
    "--rolling", is_flag=True, help="One node at a time, so that the cluster serves all along."
)
@click.option("--yes", is_flag=True, help="Begin even if a node does not answer.")
@running_data_dir_option
@output_option
def restart(rolling: bool, yes: bool, data_dir: Path, output: str) -> None:
    """Restart the nodes of the cluster in --data-dir, one after another.

    Each node is stopped as planned, so that no client meets an error, and started again. The next
    one follows when all nodes are ready and the writes that the last one missed have come back to
    it. If a node does not answer at the beginning nothing is done, unless --yes is given.

    \b
    kvorum restart --rolling --data-dir data
    """
    if not rolling:
        raise click.UsageError(
            "Give --rolling to restart one node after another. To restart all at once, use 'kvorum "
            "down' and 'kvorum up'"
        )
    for line in restart_rolling(data_dir, anyway=yes):
        if output == "json":
            print_json({"progress": line})
        else:
            click.echo(line)
    if output == "json":
        print_json({"restarted": True})
    else:
        click.echo(f"All nodes of the cluster in {data_dir} have been restarted.")

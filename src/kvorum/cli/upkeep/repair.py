"""`kvorum repair`: have replicas compared and made equal now."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

import click

from kvorum.cli.connection import asks_namespaces, open_client
from kvorum.cli.errors import Incomplete, one_line
from kvorum.cli.output import output_option, print_json, print_table
from kvorum.cli.progress import number_bar
from kvorum.client.listing import described
from kvorum.client.synchronous import Client
from kvorum.client.url import Target
from kvorum.documents.reading import read
from kvorum.model.errors import ConnectionFailed, UnavailableError
from kvorum.model.request import Unreadable

_POLL_S: Final = 0.2
_LISTED_MAX: Final = 10


@click.command()
@click.option("--partition", type=click.IntRange(min=0), metavar="P", help="Only this partition.")
@click.option("--key", metavar="KEY", help="Only this key of the namespace.")
@click.option("--full", is_flag=True, help="Compare every key, also where hash trees agree.")
@asks_namespaces
@output_option
def repair(target: Target, partition: int | None, key: str | None, full: bool, output: str) -> None:
    """Compare all replicas now, and make those equal that differ.

    The nodes also do so by themselves, all the time. They compare hash trees. With --full they
    compare every record: that finds damage on disk, too, and takes as long as reading everything.

    The repair goes on if this command is interrupted. A damaged record that no other owner has
    stays damaged; it is named, and the exit code is 7.

    \b
    kvorum repair
    kvorum repair --partition 17 --full
    kvorum repair --key user:7
    """
    if partition is not None and key is not None:
        raise click.UsageError("--partition and --key cannot go together")
    wish = {"namespace": target.namespace, "partition": partition, "key": key, "full": full}
    document = _repaired(target, wish)
    damaged = document.get("damaged", [])
    if output == "json":
        print_json(document)
    else:
        row = (document["partitions"], document["repaired"], len(document["incomplete"]))
        print_table(
            f"repair {document['id']}",
            ("#partitions", "#records repaired", "#incomplete", "#still damaged"),
            [(*row, len(damaged))],
        )
        for text in _described(damaged):
            click.echo(one_line(f"still damaged: {text}"), err=True)
    if document["incomplete"]:
        raise UnavailableError(
            f"Of {document['partitions']} partitions these could not be repaired, as owners are "
            f"away or failed: {_listed(document['incomplete'])}. "
            "Repeat it when 'kvorum status' shows all nodes up."
        )
    if damaged:
        raise Incomplete(
            f"{len(damaged)} damaged records are still damaged, as no owner has them whole. "
            "Overwrite or delete them, or restore a snapshot."
        )


def _described(damaged: list[dict[str, Any]]) -> list[str]:
    return [described(read(one, Unreadable)) for one in damaged]


def _repaired(target: Target, wish: dict[str, Any]) -> dict[str, Any]:
    """Only the server that began a repair knows of it: so one server is asked for both."""
    failure = ConnectionFailed("No server is named. Name one with --server.")
    for server in target.servers:
        with open_client(replace(target, servers=(server,))) as client:
            try:
                begun = client.begin_repair(**wish)
            except ConnectionFailed as error:
                failure = error
            else:
                return _watched(client, begun)
    raise failure


def _watched(client: Client, document: dict[str, Any]) -> dict[str, Any]:
    with number_bar("comparing partitions", document["partitions"], "records repaired") as bar:
        while not document["ended"]:
            bar.show(document["done"], document["repaired"])
            time.sleep(_POLL_S)
            document = client.repair_progress(document["id"])
    return document


def _listed(partitions: list[int]) -> str:
    distinct = sorted(set(partitions))
    shown = ", ".join(map(str, distinct[:_LISTED_MAX]))
    return (
        shown if len(distinct) <= _LISTED_MAX else f"{shown} and {len(distinct) - _LISTED_MAX} more"
    )

"""`kvorum namespace drop`: make all that a namespace held unreadable, on every node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from kvorum.cli.connection import asks_cluster
from kvorum.cli.output import output_option, print_json, print_table
from kvorum.model.errors import PreconditionFailed, UnavailableError

_CLOCKS_APART_MS: Final = 10_000

if TYPE_CHECKING:
    from kvorum.cli.every_node import Documents, EveryNode
    from kvorum.client.url import Target


@click.group()
def namespace() -> None:
    """Work on whole namespaces."""


@namespace.command()
@click.argument("name")
@click.option("--shred", is_flag=True, help="Destroy its keys. Needed; there is no other way yet.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_cluster
@output_option
def drop(target: Target, name: str, shred: bool, yes: bool, output: str) -> None:
    """Destroy the keys of namespace NAME on every node, and with them all that it holds.

    Copies of the data directories, wherever they are, become unreadable as far as they need the
    keys that are destroyed; not snapshots, which have their own keyring, nor exports. All nodes
    must be up. A namespace that is still in the cluster file goes on, empty.

    \b
    kvorum namespace drop sessions --shred
    """
    from kvorum.cli.every_node import on_every_node
    from kvorum.client import key_requests
    from kvorum.client.url import check_namespace

    if not shred:
        raise click.UsageError("wanted --shred: what is dropped cannot be had again")
    check_namespace(name)
    if not yes:
        _confirm(f"Destroy all data of namespace {name!r}, for good?")

    async def run(nodes: EveryNode) -> Documents:
        statuses = await nodes.ask(key_requests.keys())
        clocks = [document["now_ms"] for document in statuses.values()]
        before_ms = max(clocks)
        if before_ms - min(clocks) > _CLOCKS_APART_MS:
            raise UnavailableError(
                f"wanted nodes whose clocks agree, got some that are {before_ms - min(clocks)} ms "
                "apart, and what is written in that time would be lost; set them"
            )
        return await nodes.ask(key_requests.shred(name, before_ms))

    documents = on_every_node(target, run)
    if output == "json":
        print_json(documents)
    else:
        rows = [(node, "its keys are destroyed") for node in documents]
        print_table(f"namespace {name}", ("node", "state"), rows)


def _confirm(question: str) -> None:
    """Raises PreconditionFailed, also if there is nobody to answer."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise PreconditionFailed(
            "wanted a yes, got none, and nothing was changed; --yes says it without being asked"
        )

"""`kvorum keys`: the keys that records are sealed with, on every node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kvorum.cli.connection import asks_cluster, asks_namespaces
from kvorum.cli.key_sources import source_option
from kvorum.cli.moments import now_ms, to_the_second
from kvorum.cli.output import output_option, print_json, print_table
from kvorum.cli.stopped_node import stopped_node, stopped_node_option
from kvorum.documents.data_keys import DataKey, DataKeys
from kvorum.documents.reading import read

if TYPE_CHECKING:
    from kvorum.cli.every_node import Documents, EveryNode
    from kvorum.client.url import Target


@click.group()
def keys() -> None:
    """List and change the keys that stored records are sealed with.

    Each node has keys of its own. They lie in its data directory, wrapped by its master key.

    \b
    kvorum keys list
    kvorum keys rotate --wait
    """


@keys.command("list")
@asks_cluster
@output_option
def list_keys(target: Target, output: str) -> None:
    """Show the data keys of every node, and how many records each of them has sealed.

    \b
    kvorum keys list
    """
    from kvorum.cli.every_node import on_every_node
    from kvorum.client import key_requests

    documents = on_every_node(target, lambda nodes: nodes.ask(key_requests.keys()))
    _print(documents, output)


@keys.command()
@click.option("--wait", is_flag=True, help="Return when the old keys are gone from every node.")
@asks_namespaces
@output_option
def rotate(target: Target, wait: bool, output: str) -> None:
    """Seal with new data keys from now on, on every node.

    In the background all older records are sealed again; then the old keys are forgotten. That
    goes on if this command is interrupted, and after restarts.

    \b
    kvorum keys rotate --wait
    kvorum keys rotate --namespace sessions
    """
    from kvorum.cli.every_node import on_every_node
    from kvorum.client import key_requests

    async def run(nodes: EveryNode) -> Documents:
        await nodes.reachable()
        begun = await nodes.ask(key_requests.rotate(target.namespace))
        if not wait:
            return begun
        return await nodes.watch("seal again", key_requests.keys(), _fraction_freed)

    _print(on_every_node(target, run), output)


@keys.command()
@stopped_node_option
@source_option("--master-key", what="The master key used so far", required=True)
@source_option("--new-master-key", what="The one to use from now on", required=True)
@output_option
def rewrap(data_dir: Path, master_key: str, new_master_key: str, output: str) -> None:
    """Change the master key of a stopped node. No record is touched.

    If the new one is to come from a file that is not there, it is made, with a random key.

    \b
    kvorum keys rewrap --data-dir n1 --master-key file:n1/master.key --new-master-key env:KEY
    """
    from kvorum.sealing import keyring_file
    from kvorum.sealing.keyring import Keyring
    from kvorum.sealing.master_key import load_first, parse_source

    path = data_dir / "keys.json"
    with stopped_node(data_dir):
        old = parse_source(master_key)
        cluster = keyring_file.read(path).verified(old.load()).cluster
        keyring = Keyring.open(path, cluster, old, (), now_ms())
        before = keyring.master.id
        keyring.rewrap(load_first(parse_source(new_master_key)))
    document = {"data_dir": str(data_dir), "from": before, "to": keyring.master.id}
    if output == "json":
        print_json(document)
    else:
        print_table("master key", ("data directory", "from", "to"), [tuple(document.values())])


def _fraction_freed(document: dict[str, Any]) -> float:
    """1 once no key is retiring any more."""
    keys = read(document, DataKeys)
    if not any(key.state == "retiring" for key in keys.keys):
        return 1.0
    return min(keys.scrub.fraction_done, 0.9999)


def _print(documents: Documents, output: str) -> None:
    if output == "json":
        print_json(documents)
        return
    print_table(
        "data keys",
        ("node", "namespace", "#id", "state", "made", "#records", "#share"),
        [
            _row(node, key)
            for node, document in documents.items()
            for key in read(document, DataKeys).keys
        ],
    )


def _row(node: str, key: DataKey) -> tuple[object, ...]:
    """Its use is as of the last whole walk over the records."""
    made = to_the_second(key.created_ms)
    records = "" if key.records is None else key.records
    share = "" if key.share is None else f"{key.share:.1%}"
    return (node, key.namespace, key.id, key.state, made, records, share)

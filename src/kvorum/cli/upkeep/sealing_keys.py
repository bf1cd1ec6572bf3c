"""`kvorum data-keys` and `kvorum master-keys`: the keys that records are sealed with on every node,
and the keys that wrap those. `kvorum keys` is what both were called together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kvorum.cli.connection import asks_cluster, asks_namespaces
from kvorum.cli.every_node import EveryNode, on_every_node
from kvorum.cli.key_sources import source_option
from kvorum.cli.moments import now_ms, to_the_second
from kvorum.cli.output import output_option, print_result
from kvorum.cli.stopped_node import stopped_node, stopped_node_option
from kvorum.client import node_requests
from kvorum.client.each_node import Documents
from kvorum.client.url import Target
from kvorum.documents.data_keys import DataKey, DataKeys
from kvorum.documents.reading import read
from kvorum.sealing import keyring_file
from kvorum.sealing.keyring import Keyring
from kvorum.sealing.master_key import load_first, parse_source


@click.group("data-keys")
def data_keys() -> None:
    """List and rotate the keys that stored records are sealed with.

    Each node has keys of its own. They lie in its data directory, wrapped by its master key.

    \b
    kvorum data-keys list
    kvorum data-keys rotate --wait
    """


@click.group("master-keys")
def master_keys() -> None:
    """List and change the keys that wrap the data keys of the nodes.

    \b
    kvorum master-keys list
    kvorum master-keys rewrap --data-dir n1 --master-key file:old.key --new-master-key env:KEY
    """


@click.group("keys", hidden=True)
def keys() -> None:
    """The old name of 'kvorum data-keys' and 'kvorum master-keys'."""


@data_keys.command("list")
@asks_cluster
@output_option
def list_keys(target: Target, output: str) -> None:
    """Show the data keys of every node, and how many records each of them has sealed.

    \b
    kvorum data-keys list
    """
    documents = on_every_node(target, lambda nodes: nodes.ask(node_requests.keys()))
    _print(documents, output)


@data_keys.command()
@click.option("--wait", is_flag=True, help="Return when the old keys are gone from every node.")
@asks_namespaces
@output_option
def rotate(target: Target, wait: bool, output: str) -> None:
    """Make new data keys on every node, and seal with them from now on.

    Older records are sealed again in the background; then the old keys are deleted. That goes on if
    this command is interrupted, and after restarts.

    \b
    kvorum data-keys rotate --wait
    kvorum data-keys rotate --namespace sessions
    """

    async def run(nodes: EveryNode) -> Documents:
        await nodes.reachable()
        begun = await nodes.ask(node_requests.rotate(target.namespace))
        if not wait:
            return begun
        return await nodes.watch("seal again", node_requests.keys(), _fraction_freed)

    _print(on_every_node(target, run), output)


@master_keys.command()
@stopped_node_option
@source_option("--master-key", what="The master key used so far", required=True)
@source_option("--new-master-key", what="The master key to use from now on", required=True)
@output_option
def rewrap(data_dir: Path, master_key: str, new_master_key: str, output: str) -> None:
    """Change the master key of a stopped node. No record is touched.

    If --new-master-key names a file that does not exist, it is made, with a random key.

    \b
    kvorum master-keys rewrap --data-dir n1 --master-key file:n1/master.key --new-master-key env:KEY
    """
    path = data_dir / "keys.json"
    with stopped_node(data_dir):
        old = parse_source(master_key)
        cluster = keyring_file.read(path).verified(old.load()).cluster
        keyring = Keyring.open(path, cluster, old, (), now_ms())
        before = keyring.master.id
        keyring.rewrap(load_first(parse_source(new_master_key)))
    document = {"data_dir": str(data_dir), "from": before, "to": keyring.master.id}
    row = tuple(document.values())
    print_result(output, document, "master key", ("data directory", "from", "to"), [row])


@master_keys.command("list")
@asks_cluster
@output_option
def list_master_keys(target: Target, output: str) -> None:
    """Show which master key wraps the data keys of each node, by its id, and how many it wraps.

    \b
    kvorum master-keys list
    """
    documents = on_every_node(target, lambda nodes: nodes.ask(node_requests.keys()))
    found = {node: read(document, DataKeys) for node, document in documents.items()}
    rows = [(node, one.master_key, len(one.keys)) for node, one in found.items()]
    shown = {node: {"master_key": key, "data_keys": count} for node, key, count in rows}
    print_result(output, shown, "master keys", ("node", "master key", "#data keys"), rows)


for _command in (list_keys, rotate, rewrap):
    keys.add_command(_command)


def _fraction_freed(document: dict[str, Any]) -> float:
    """1 once no key is retiring any more."""
    keys = read(document, DataKeys)
    if not any(key.state == "retiring" for key in keys.keys):
        return 1.0
    return min(keys.scrub.fraction_done, 0.9999)


def _print(documents: Documents, output: str) -> None:
    columns = ("node", "namespace", "#id", "state", "made", "#records", "#share")
    keys = ((node, read(document, DataKeys).keys) for node, document in documents.items())
    rows = (_row(node, key) for node, some in keys for key in some)
    print_result(output, documents, "data keys", columns, rows)


def _row(node: str, key: DataKey) -> tuple[object, ...]:
    """Its use is as of the last whole walk over the records."""
    made = to_the_second(key.created_ms)
    records = "" if key.records is None else key.records
    share = "" if key.share is None else f"{key.share:.1%}"
    return (node, key.namespace, key.id, key.state, made, records, share)

"""`kvorum snapshot restore`: a snapshot's data into a cluster, or into its node's directory."""

from __future__ import annotations

import time
from pathlib import Path

import click

from kvorum.backup import replacement
from kvorum.cli.bulk.options import give_up_after_option
from kvorum.cli.bulk.pipeline import Limits
from kvorum.cli.connection import asks_namespaces, w_option
from kvorum.cli.errors import Incomplete
from kvorum.cli.key_sources import MASTER_KEY_FILE, source_option
from kvorum.cli.output import output_option, print_json, print_result
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.snapshots import restore_coverage
from kvorum.cli.snapshots.restore_run import Job, restore_records
from kvorum.cli.snapshots.restore_sources import key_sources, opened, snapshot_in, verified
from kvorum.cli.stopped_node import DIRECTORY, stopped_node
from kvorum.client.url import Target


@click.command()
@click.argument("name")
@click.option(
    "--from",
    "origins",
    multiple=True,
    type=DIRECTORY,
    metavar="DIR",
    help="A node's data directory, or a copy of it with its snapshots; once for each node.",
)
@click.option(
    "--data-dir",
    type=DIRECTORY,
    help="Put it in place in this directory of a stopped node, and ask no server.",
)
@source_option(
    "--master-key",
    "master_keys",
    what="The master key, once for all nodes, or once for each --from in order",
    default=f"file {MASTER_KEY_FILE} in each directory",
    multiple=True,
)
@click.option("--partial", is_flag=True, help="Restore even if acknowledged writes may be missing.")
@click.option("--renew", is_flag=True, help="Write the values anew, over what the cluster has.")
@click.option("--resume", is_flag=True, help="Go on where a restore was cut short.")
@click.option(
    "--position",
    "position_path",
    type=NonEmptyPath(dir_okay=False, path_type=Path),
    help="Where to note how far it is.  [default: .restore-NAME.json in the first DIR/snapshots]",
)
@w_option
@give_up_after_option
@asks_namespaces
@output_option
def restore(
    target: Target,
    name: str,
    origins: tuple[Path, ...],
    data_dir: Path | None,
    master_keys: tuple[str, ...],
    partial: bool,
    renew: bool,
    resume: bool,
    position_path: Path | None,
    w: int | None,
    give_up_after: float,
    output: str,
) -> None:
    """Restore snapshot NAME into a running cluster, or into the directory of a stopped node.

    To restore into a cluster, of any size, name with --from the data directories of all nodes that
    made the snapshot. Records keep their versions and merge with those of the cluster: whatever was
    written or deleted there since the snapshot stays. With --renew the values are written anew and
    replace what is there. If so many snapshots are missing that acknowledged writes may be lost,
    nothing is restored, except with --partial, and then the exit code is 7.

    To restore into a stopped node, name its --data-dir. The node goes on with the snapshot's data
    under a new identity, and compares with the other nodes before it answers. The old files are
    moved aside, and never deleted.

    \b
    kvorum snapshot restore monday --from n1 --from n2 --from n3 --server HOST:PORT
    kvorum snapshot restore monday --data-dir n1
    """
    if (data_dir is None) == (not origins):
        raise click.UsageError(
            "Give either --from, to restore into a cluster, or --data-dir, for a stopped node."
        )
    if data_dir is not None:
        _restore_here(data_dir, name, master_keys, output)
        return

    began = time.monotonic()
    as_json = output == "json"
    path = position_path or origins[0] / "snapshots" / f".restore-{name}.json"
    with opened(name, origins, master_keys) as sources:
        if not partial:
            restore_coverage.check(restore_coverage.covered(sources, target.namespace))
        readers = [source.reader for source in sources]
        macs = [source.mac for source in sources]
        job = Job(
            target, name, readers, macs, path, resume, renew, w, Limits(give_up_after), as_json
        )
        stored = restore_records(job)
        damaged = sum(reader.damaged for reader in readers)
        found = restore_coverage.covered(sources, target.namespace)
    seconds = time.monotonic() - began
    report = {"snapshot": name, "records": stored, "damaged": damaged}
    report |= {"seconds": round(seconds, 3), **restore_coverage.document(found)}
    row = (f"{stored:,}", f"{damaged:,}", f"{seconds:.1f}")
    print_result(output, report, f"restore of {name}", ("#records", "#damaged", "#seconds"), [row])
    if not found.complete:
        raise Incomplete(
            "All that these snapshots hold is restored, but acknowledged writes may be missing: "
            f"{restore_coverage.described(found)}."
        )


def _restore_here(data_dir: Path, name: str, master_keys: tuple[str, ...], output: str) -> None:
    path = snapshot_in(data_dir, name)
    (key,) = key_sources((data_dir,), master_keys)
    with stopped_node(data_dir):
        content = verified(path, key)
        node_id = replacement.restore(data_dir, path, content)
    node = content.origin.node
    if output == "json":
        print_json({"snapshot": name, "node": node, "node_id": node_id})
        return
    click.echo(f"{node} has the data of snapshot {name}, and a new identity ({node_id})")
    click.echo(f"what was there is in {data_dir} under names that end with .before-{name}")
    click.echo("start it: it compares with the other nodes before it answers")

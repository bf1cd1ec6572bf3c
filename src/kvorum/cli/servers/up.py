"""`kvorum up`: a cluster on this machine, in the foreground or in the background."""

from __future__ import annotations

import asyncio
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Final

import click

from kvorum.certificates.cluster import renew_for
from kvorum.cli.key_sources import check_master_key, master_key_option
from kvorum.cli.output import output_option, print_json
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.servers.background import LOG_NAME, start_in_background
from kvorum.cli.servers.environment import from_environment
from kvorum.cli.servers.options import (
    allow_host_option,
    log_level_option,
    memory_option,
    stop_grace_option,
)
from kvorum.cli.servers.securing import audit_options, secure
from kvorum.cli.servers.topology_file import load_topology
from kvorum.cli.servers.up_view import JsonView, LineView, View
from kvorum.cli.signals import stop_signals, unless
from kvorum.devcluster.access import NodeAccess
from kvorum.devcluster.cluster import LocalCluster, url_of
from kvorum.devcluster.control import Control
from kvorum.devcluster.hold import already_running, held, holder
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.ports import NODES_MAX, PORT_LAST, check_ports, local_topology
from kvorum.model.address import parse_address
from kvorum.model.errors import ConfigError
from kvorum.model.sizes import parse_size
from kvorum.model.topology import DEFAULT_NAMESPACE, DEFAULT_REPLICAS, NamespaceSettings, Topology
from kvorum.runtime.loop import run
from kvorum.runtime.together import together
from kvorum.storage.budget import Budget, promised

DEFAULT_NODES: Final = 3
DEFAULT_PORT: Final = 7400

_COUNT: Final = click.IntRange(1, NODES_MAX)


@from_environment
@click.command()
@click.option("-n", "--nodes", type=_COUNT, help=f"How many nodes.  [default: {DEFAULT_NODES}]")
@click.option(
    "--data-dir",
    required=True,
    type=NonEmptyPath(file_okay=False, path_type=Path),
    help="Where all nodes keep their data; made if it is missing.",
)
@click.option(
    "--port",
    type=click.IntRange(1, PORT_LAST),
    help=f"The port of the first node.  [default: {DEFAULT_PORT}]",
)
@click.option("--replicas", type=_COUNT, help="Copies of an entry.  [default: 3, or all nodes]")
@click.option("--read", type=_COUNT, help="Replicas that answer a read.  [default: a majority]")
@click.option(
    "--write", type=_COUNT, help="Replicas that acknowledge a write.  [default: a majority]"
)
@click.option(
    "--secure",
    "wants_secure",
    is_flag=True,
    help="Speak TLS, and authenticate everybody; also for a cluster that was not secure before.",
)
@audit_options
@master_key_option
@memory_option
@allow_host_option
@log_level_option("error")
@stop_grace_option
@click.option(
    "-d", "--detach", is_flag=True, help="Run it in the background; return when it is ready."
)
@output_option
def up(
    data_dir: Path,
    wants_secure: bool,
    audit: str | None,
    audit_keys: str | None,
    master_key: str | None,
    memory: str,
    host_names: tuple[str, ...],
    log_level: str,
    stop_grace: float,
    detach: bool,
    output: str,
    **asked: int | None,
) -> None:
    """Run a cluster of several nodes on this machine, until Ctrl-C, SIGTERM or 'kvorum down'.

    The first node answers at --port, the next ones at the ports after it. The first start stores
    the settings in --data-dir. A later start needs only --data-dir, and --master-key, --audit and
    --allow-host if they were given before.

    With --secure the certificates are made in --data-dir/certs, and the first administrator's token
    is in --data-dir/admin.token; the URL that is printed names both.

    \b
    kvorum up -n 3 --data-dir data --port 7400
    kvorum up -n 3 --data-dir data --secure
    kvorum up --data-dir data
    kvorum up --data-dir data --detach
    """
    layout = Layout(data_dir)
    if (process := holder(data_dir)) is not None:
        raise already_running(data_dir, process)
    given = {name: value for name, value in asked.items() if value is not None}
    topology = _stored(layout, given) if layout.exists else _asked_for(layout, given)
    _check_can_start(topology, layout, memory, master_key)
    audited = _audited(audit, audit_keys, secure=wants_secure or layout.is_secure)
    topology = _made(layout, topology, wants_secure=wants_secure)
    # Its file says what there was at first; from then on each node's directory does.
    options = ["--own-namespaces", "--memory", memory, "--log-level", log_level]
    options += [f"--allow-host={name}" for name in host_names]
    options += audited
    if master_key is not None:
        options += ["--master-key", master_key]
    if detach:
        options += ["--stop-grace", str(stop_grace)]
        _tell_started(start_in_background(data_dir, options[1:]), topology, layout, output)
        return
    view = _view(output, topology, layout)
    try:
        with held(data_dir):
            access = NodeAccess.to(layout)
            cluster = LocalCluster(layout, topology, view.hear, options, stop_grace, access)
            run(_run(cluster, Control(cluster, data_dir), view))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _audited(audit: str | None, audit_keys: str | None, *, secure: bool) -> list[str]:
    """The options of nodes about their audit logs. Raises UsageError."""
    given = [("--audit", audit), ("--audit-keys", audit_keys)]
    asked = [(option, value) for option, value in given if value is not None]
    if asked and not secure:
        raise click.UsageError(
            f"{asked[0][0]} needs --secure: an open cluster does not know who asks it"
        )
    return [text for pair in asked for text in pair]


def _made(layout: Layout, topology: Topology, *, wants_secure: bool) -> Topology:
    """The cluster with all that it needs to start, made now if it is not there yet."""
    if not layout.exists:
        if wants_secure:
            return layout.create(topology, partial(secure, layout))
        return layout.create(topology)
    if layout.is_secure:
        renew_for(topology, layout.certificates)
    elif wants_secure:
        secure(layout, topology)
    return topology


def _tell_started(process: int, topology: Topology, layout: Layout, output: str) -> None:
    url, data_dir = url_of(layout, topology.nodes), layout.directory
    stop = f"kvorum down --data-dir {shlex.quote(str(data_dir))}"
    if output == "json":
        print_json({"event": "detached", "pid": process, "url": url, "stop": stop})
    else:
        click.echo(f"cluster ready: {url}, pid {process}, log {data_dir / LOG_NAME}")
        click.echo(f"'{stop}' stops it")


def _check_can_start(
    topology: Topology, layout: Layout, memory: str, master_key: str | None
) -> None:
    """Raises ConfigError for what every node would refuse to start with, while nothing is made."""
    Budget.split(parse_size(memory), promised(topology.namespaces.values()))
    check_ports(topology.nodes)
    if master_key is not None:
        check_master_key(master_key, layout.directory)


def _asked_for(layout: Layout, asked: dict[str, int]) -> Topology:
    """A new cluster, not stored yet."""
    layout.check_creatable()
    nodes = asked.get("nodes", DEFAULT_NODES)
    return local_topology(nodes, asked.get("port", DEFAULT_PORT), _settings(nodes, asked))


def _settings(nodes: int, asked: dict[str, int]) -> NamespaceSettings:
    usual = NamespaceSettings.majority(asked.get("replicas", min(DEFAULT_REPLICAS, nodes)))
    return NamespaceSettings(
        replicas=usual.replicas,
        read=asked.get("read", usual.read),
        write=asked.get("write", usual.write),
    )


def _stored(layout: Layout, asked: dict[str, int]) -> Topology:
    """The cluster in the data directory, which must be the one that is asked for."""
    topology = load_topology(layout.topology_file)
    stored = _facts(topology)
    for name, value in asked.items():
        if value != stored[name]:
            raise ConfigError(
                f"--{name} {value} does not fit the cluster in {layout.topology_file}, which has "
                f"{stored[name]}. Leave --{name} out, or choose another --data-dir."
            )
    return topology


def _facts(topology: Topology) -> dict[str, int]:
    settings = topology.namespaces[DEFAULT_NAMESPACE]
    return {
        "nodes": len(topology.nodes),
        "port": parse_address(topology.nodes[0].http).port,
        "replicas": settings.replicas,
        "read": settings.read,
        "write": settings.write,
    }


def _view(output: str, topology: Topology, layout: Layout) -> View:
    if output == "json":
        return JsonView()
    if sys.stdout.isatty():
        from kvorum.cli.servers.up_table import LiveView

        return LiveView(topology, lambda spec: url_of(layout, [spec]))
    return LineView()


async def _run(cluster: LocalCluster, control: Control, view: View) -> None:
    """Returns when the cluster has been asked to stop and has."""
    this = asyncio.current_task()
    assert this is not None
    # A second signal cancels the stopping, which kills what is left.
    with view.shown(), stop_signals(again=this.cancel) as stop:
        try:
            await unless(stop, _live(cluster, control, view))
        finally:
            await cluster.stop()


async def _live(cluster: LocalCluster, control: Control, view: View) -> None:
    await cluster.start()
    await together([cluster.keep_running(), control.serve(), view.keep_current()])

"""`kvorum serve`: one node, alone or as a member of a cluster.

It prints one line to stdout when it takes requests; everything else is log, on stderr.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from kvorum.cli.errors import exit_code, print_failure
from kvorum.cli.key_sources import master_key_option, master_key_source
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.servers.environment import from_environment
from kvorum.cli.servers.logs import FORMATS, configure_logging
from kvorum.cli.servers.options import (
    allow_host_option,
    log_level_option,
    memory_option,
    stop_grace_option,
)
from kvorum.cli.servers.reload import Reload
from kvorum.cli.servers.securing import (
    audit_options,
    certs_option,
    check_loopback,
    check_secret,
    keep_secret,
    secured_by,
    with_own_secret,
)
from kvorum.cli.servers.topology_file import load_topology
from kvorum.cli.signals import stop_signals, unless
from kvorum.devcluster.ports import check_ports
from kvorum.model.errors import KvorumError
from kvorum.model.sizes import parse_size
from kvorum.model.topology import NodeSpec, Topology
from kvorum.node.node import Node
from kvorum.runtime.descriptors import raise_descriptor_limit
from kvorum.runtime.faults import tell_faults
from kvorum.runtime.loop import run
from kvorum.sealing.core_dumps import forbid_core_dumps
from kvorum.storage.directory_watch import DirectoryLost

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 7400

_STOPPED_AT_ONCE: Final = 130


@from_environment
@click.command()
@click.option(
    "--data-dir",
    required=True,
    type=NonEmptyPath(file_okay=False, path_type=Path),
    help="Where the node keeps its data; made if it is missing.",
)
@click.option(
    "--host", metavar="ADDRESS", help=f"The address to listen on.  [default: {DEFAULT_HOST}]"
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help=f"The port for clients.  [default: {DEFAULT_PORT}]",
)
@click.option(
    "--cluster",
    type=NonEmptyPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A topology file; the node's addresses come from there.",
)
@click.option("--node", metavar="NAME", help="Which node of the topology file this is.")
@click.option(
    "--secret-file",
    type=NonEmptyPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file with the cluster's secret.  [default: cluster.secret beside the topology file]",
)
@master_key_option
@memory_option
@allow_host_option
@certs_option
@audit_options
@click.option(
    "--insecure", is_flag=True, help="Let other machines connect, without authentication."
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    default="text",
    help="The format of the log on stderr: for people or for programs.",
)
@log_level_option("info")
@stop_grace_option
@click.option("--stop-on-stdin-close", is_flag=True, hidden=True)
@click.option("--own-namespaces", is_flag=True, hidden=True)
@click.option("--no-admin-token", is_flag=True, hidden=True)
def serve(
    data_dir: Path,
    host: str | None,
    port: int | None,
    cluster: Path | None,
    node: str | None,
    secret_file: Path | None,
    master_key: str | None,
    memory: str,
    host_names: tuple[str, ...],
    certs: Path | None,
    audit: str | None,
    audit_keys: str | None,
    insecure: bool,
    log_format: str,
    log_level: str,
    stop_grace: float,
    stop_on_stdin_close: bool,
    own_namespaces: bool,
    no_admin_token: bool,
) -> None:
    """Run one node: alone, or the member --node of the cluster in --cluster.

    SIGTERM or Ctrl-C stops it cleanly, after --stop-grace; a second one stops it at once. On SIGHUP
    a member reads the --cluster file again and takes over the namespaces in it.

    With --certs the node speaks TLS with clients and other nodes, and serves nobody who shows no
    token, password or certificate. On an address that other machines can reach it has to, unless
    --insecure is given.

    \b
    kvorum serve --data-dir data
    kvorum serve --cluster cluster.toml --node n2 --data-dir data/n2 --certs certs
    """
    secured = secured_by(certs, audit, audit_keys, writes_admin_token=not no_admin_token)
    if secured is not None and insecure:
        raise click.UsageError("--insecure is for a node without --certs. Leave one of them out")
    if cluster is None:
        _check_unset("--node", node, "only says which node of a --cluster file this is")
        _check_unset("--secret-file", secret_file, "only goes with a --cluster file")
        topology, name = _alone(host or DEFAULT_HOST, port or DEFAULT_PORT), "n1"
        if certs is not None:
            topology = with_own_secret(topology, certs, data_dir)
    else:
        _check_unset("--host", host, "comes from the --cluster file")
        _check_unset("--port", port, "comes from the --cluster file")
        topology, name = _member(cluster, node, secret_file)
    spec = topology.node(topology.number_of(name))
    if secured is None and not insecure:
        check_loopback(spec)
    check_secret(topology, secured)
    configure_logging(log_format, log_level)
    tell_faults()
    forbid_core_dumps()
    raise_descriptor_limit()
    source = master_key_source(data_dir, master_key)
    rules = None if own_namespaces else cluster
    server = Node(topology, name, data_dir, source, parse_size(memory), host_names, rules, secured)
    reload = None
    if rules is not None:
        reload = Reload(server, rules, lambda: load_topology(rules, secret_file=secret_file))
    check_ports([spec])  # A node would find out only once it has made its directory.
    if cluster is None and secured is not None:
        keep_secret(topology, data_dir)
    grace = Grace(stop_grace)
    ready_line = _ready_line(spec, data_dir, "http" if secured is None else "https")
    failure = run(_run(server, ready_line, grace, stop_on_stdin_close, reload))
    if failure is not None:
        raise failure


def _check_unset(option: str, value: object, reason: str) -> None:
    if value is not None:
        raise click.UsageError(f"{option} {reason}. Leave it out")


def _alone(host: str, port: int) -> Topology:
    bare_ipv6 = ":" in host and not host.startswith("[")
    return Topology.single(http=f"[{host}]:{port}" if bare_ipv6 else f"{host}:{port}")


def _member(cluster: Path, node: str | None, secret_file: Path | None) -> tuple[Topology, str]:
    topology = load_topology(cluster, secret_file=secret_file)
    if node is None:
        names = ", ".join(spec.name for spec in topology.nodes)
        raise click.UsageError(f"--cluster needs --node, which is one of {names}")
    topology.number_of(node)
    return topology, node


def _ready_line(spec: NodeSpec, data_dir: Path, scheme: str) -> str:
    peers = f", peers {spec.peer}" if spec.peer else ""
    return f"{spec.name} ready: {scheme}://{spec.http}{peers}, data {data_dir}"


@dataclass(slots=True)
class Grace:
    """How long clients have, when the node stops, to turn to other nodes."""

    seconds: float


async def _run(
    node: Node, ready_line: str, grace: Grace, stop_on_stdin_close: bool, reload: Reload | None
) -> KvorumError | None:
    """Why the node had to stop, or None if it was asked to."""
    hang_up = None if reload is None else reload.ask
    with stop_signals(again=_stop_at_once, hang_up=hang_up) as stop:

        def stop_with_the_others() -> None:
            grace.seconds = 0.0  # No other node is left to turn to.
            stop.set()

        if stop_on_stdin_close:
            await _on_stdin_close(stop_with_the_others)
        return await unless(stop, _live(node, ready_line, grace, reload))


async def _live(node: Node, ready_line: str, grace: Grace, reload: Reload | None) -> KvorumError:
    _take_long_turns()
    await node.start()
    _settle_collector()
    try:
        click.echo(ready_line)
        if reload is not None:
            reload.started()
        failure = await node.failed()
        _leave_lost_directory(failure)
        return failure
    finally:
        await node.stop(grace.seconds)


def _leave_lost_directory(failure: KvorumError) -> None:
    """If the data directory was lost, end at once: what a stop does by path would harm another."""
    if isinstance(failure, DirectoryLost):
        print_failure(failure, as_json=False)
        os._exit(exit_code(failure))


def _take_long_turns() -> None:
    """Ask the system to let whoever runs go on when something arrives for this process.

    By default a process that is woken may take the processor at once. Nodes and clients on one
    machine wake each other with each message, and by turns do a little with cold caches. A
    batch process (sched(7)) starts a moment later and finds more to do. On two cores with three
    nodes and their clients this was 4% more puts and gets, and a tenth off the 99th percentile.
    """
    if sys.platform == "linux":
        with suppress(PermissionError):  # a sandbox may forbid it; nothing depends on it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _settle_collector() -> None:
    """Have the collector run less often: what lives now stays, and requests leave few cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _stop_at_once() -> None:
    # Without any clean-up: the next start treats it as a crash.
    os._exit(_STOPPED_AT_ONCE)


async def _on_stdin_close(callback: Callable[[], object]) -> None:
    """Tie this process's life to that of whoever holds the other end of its stdin."""

    class Tie(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            callback()

    await asyncio.get_running_loop().connect_read_pipe(Tie, sys.stdin)

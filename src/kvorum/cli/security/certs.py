"""`kvorum certs`: the certificates of a cluster, and the private authority that issues them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from kvorum.certificates.authority import (
    AUTHORITY_DAYS,
    CLIENT_DAYS,
    NODE_DAYS,
    Authority,
    Issued,
    stem_of,
)
from kvorum.certificates.cluster import hosts_of_node
from kvorum.certificates.directory import AUTHORITY, CertificateDirectory
from kvorum.certificates.holding import Held, held_in
from kvorum.certificates.rotation import present
from kvorum.cli.errors import ExitCode
from kvorum.cli.output import note, output_option, print_json, print_result
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.security.certs_revocation import revocations, revoke
from kvorum.cli.security.certs_rotation import rotate
from kvorum.cli.security.issued import (
    days_option,
    directory_option,
    ms_of,
    print_issued,
)
from kvorum.cli.servers.topology_file import load_topology
from kvorum.model.errors import ConfigError
from kvorum.model.field_checks import check_name
from kvorum.model.topology import Topology, naming

_DAY_S: Final = 86_400


@click.group()
def certs() -> None:
    """Make, rotate, list and revoke certificates.

    A cluster has an authority of its own, which issues a certificate to each node and to clients
    that want one. It lives in a directory that no node needs: keep that safe.

    \b
    kvorum certs init --cluster shop
    kvorum certs issue n1 --host db1.example --host 10.0.0.1
    kvorum certs issue --client billing
    """


@certs.command()
@directory_option
@click.option("--cluster", required=True, metavar="NAME", help="The name of the cluster.")
@days_option(f"For how many days the authority is valid.  [default: {AUTHORITY_DAYS}]")
@output_option
def init(directory: Path, cluster: str, days: int | None, output: str) -> None:
    """Make the authority of a cluster, in a directory that has none.

    \b
    kvorum certs init --cluster shop
    kvorum certs init --cluster shop --dir /root/shop-certs --days 1825
    """
    with naming("cluster"):
        check_name(cluster)  # before a directory is made for it
    files = CertificateDirectory(directory)
    files.make()
    with files.locked():
        authority = Authority.create(directory, cluster, days or AUTHORITY_DAYS)
    certificate, key = files.certificate(AUTHORITY), files.key(AUTHORITY)
    expires = authority.certificate.not_valid_after_utc
    if output == "json":
        document = {"cluster": cluster, "certificate": str(certificate), "key": str(key)}
        print_json({**document, "expires_ms": ms_of(expires)})
        return
    click.echo(f"authority of {cluster}: {certificate} and {key}, until {expires:%Y-%m-%d}")
    click.echo("Who has that key can let in whom he wants: copy it to no node.")
    click.echo(f"next:  kvorum certs issue NODE --host HOST{_dir_words(directory)}")


@certs.command()
@click.argument("nodes", metavar="[NODE...]", nargs=-1)
@directory_option
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="A host name or IP address at which the node is reached. May be repeated.",
)
@click.option(
    "--cluster-file",
    type=NonEmptyPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Take the hosts from this cluster file; without NODE, for all its nodes.",
)
@click.option("--client", "clients", multiple=True, metavar="NAME", help="Issue it to a client.")
@days_option(
    f"For how many days it is valid.  [default: {NODE_DAYS} for nodes, {CLIENT_DAYS} for clients]"
)
@click.option("--renew", is_flag=True, help="In place of the one that is there, with a new key.")
@output_option
def issue(
    nodes: tuple[str, ...],
    directory: Path,
    hosts: tuple[str, ...],
    cluster_file: Path | None,
    clients: tuple[str, ...],
    days: int | None,
    renew: bool,
    output: str,
) -> None:
    """Issue certificates to nodes and clients.

    A node's names the hosts at which it is reached, since clients compare. With --renew they stay
    what they were, unless you give others.

    \b
    kvorum certs issue n1 --host db1.example --host 10.0.0.1
    kvorum certs issue --cluster-file cluster.toml
    kvorum certs issue --client billing --days 30
    """
    if not (nodes or clients or cluster_file):
        raise click.UsageError("Name a node, or give --client or --cluster-file")
    if hosts and len(nodes) != 1:
        raise click.UsageError("--host needs one node: each has hosts of its own")
    files = CertificateDirectory(directory)
    with files.locked():
        authority = Authority.open(directory)
        topology = None if cluster_file is None else _topology(cluster_file, authority)
        wanted = list(nodes)
        if topology is not None and not nodes and not clients:
            wanted = _lacking(files, topology, renew, output)
        for stem in [stem_of("node", name) for name in wanted]:
            _check_free(files, stem, renew)
        for stem in [stem_of("client", name) for name in clients]:
            _check_free(files, stem, renew)
        reached = {name: _hosts(files, name, hosts, topology, renew) for name in wanted}
        issued = [authority.issue_node(name, reached[name], days or NODE_DAYS) for name in wanted]
        issued += [authority.issue_client(name, days or CLIENT_DAYS) for name in clients]
    print_issued(output, issued)
    if output != "json":
        _tell_use(directory, issued)


@certs.command("list")
@directory_option
@output_option
@click.pass_context
def list_certificates(ctx: click.Context, directory: Path, output: str) -> None:
    """Show the certificates in a directory, and what is wrong with them.

    The exit status is 1 if one of them cannot be used: it has expired, say, or its key does not
    fit. What only expires soon is a warning.

    \b
    kvorum certs list
    kvorum certs list --dir /etc/kvorum/certs -o json
    """
    now = datetime.now(UTC)
    held = held_in(directory, now)
    columns = ("name", "kind", "valid from", "expires", "#days left", "problems", "serial")
    rows = [_row(one, now) for one in held]
    document = {"certificates": [_document(one) for one in held]}
    print_result(output, document, f"certificates in {directory}", columns, rows)
    if any(one.faults for one in held):
        ctx.exit(ExitCode.NOT_FOUND)


certs.add_command(rotate)
certs.add_command(revoke)
certs.add_command(revocations)


def _topology(file: Path, authority: Authority) -> Topology:
    topology = load_topology(file)
    if topology.cluster != authority.cluster:
        raise ConfigError(
            f"{file} is of the cluster {topology.cluster!r}, and the authority in "
            f"{authority.directory.path} is of {authority.cluster!r}. Name the directory of that "
            "cluster's authority with --dir."
        )
    return topology


def _lacking(
    files: CertificateDirectory, topology: Topology, renew: bool, output: str
) -> list[str]:
    """The nodes that are to get a certificate: with `renew` all, else those without one."""
    names = [node.name for node in topology.nodes]
    if renew:
        return names
    have = [name for name in names if files.certificate(stem_of("node", name)).exists()]
    if have:
        note(
            f"{', '.join(have)} had certificates already: --renew replaces them",
            as_json=output == "json",
        )
    return [name for name in names if name not in have]


def _check_free(files: CertificateDirectory, stem: str, renew: bool) -> None:
    file = files.certificate(stem)
    if file.exists() and not renew:
        raise ConfigError(
            f"There is a certificate {file} already. --renew replaces it, and its key; 'kvorum "
            "certs rotate' does so for several."
        )


def _hosts(
    files: CertificateDirectory,
    name: str,
    given: tuple[str, ...],
    topology: Topology | None,
    renew: bool,
) -> list[str]:
    hosts = list(given)
    if topology is not None:
        found = [node for node in topology.nodes if node.name == name]
        if not found:
            names = ", ".join(node.name for node in topology.nodes)
            raise ConfigError(f"The cluster file has no node {name!r}. It has {names}.")
        hosts += hosts_of_node(found[0])
    elif not hosts and renew and files.certificate(name).exists():
        hosts = present(files, name).hosts
    if not hosts:
        raise click.UsageError(
            f"Say at which hosts the node {name!r} is reached, with --host or --cluster-file"
        )
    return hosts


def _dir_words(directory: Path) -> str:
    return "" if directory == Path("certs") else f" --dir {directory}"


def _tell_use(directory: Path, issued: list[Issued]) -> None:
    authority = CertificateDirectory(directory).certificate(AUTHORITY)
    for one in issued:
        files = f"{authority}, {one.certificate} and {one.key}"
        if one.certified.kind == "node":
            where = f"a directory on the machine of {one.certified.name}"
            click.echo(f"copy {files} to {where}, for 'kvorum serve --certs'")
        else:
            name = one.certified.name
            click.echo(
                f"copy {files} to where {name} runs:  kvorums://HOST:PORT?ca={authority.name}"
                f"&cert={one.certificate.name}&key={one.key.name}"
            )
            click.echo(
                f"the cluster lets {name} in once there is:  kvorum user add {name} "
                "--no-password --role ROLE"
            )


def _row(held: Held, now: datetime) -> tuple[object, ...]:
    begins, expires, days = "", "", ""
    if held.begins is not None and held.expires is not None:
        begins = f"{held.begins:%Y-%m-%d}"
        expires = f"{held.expires:%Y-%m-%d}"
        days = str(int((held.expires - now).total_seconds() // _DAY_S))
    problems = ", ".join(held.faults + held.warnings)
    return held.name, held.kind, begins, expires, days, problems, held.serial


def _document(held: Held) -> dict[str, object]:
    return {
        "name": held.name,
        "kind": held.kind,
        "file": str(held.file),
        "serial": held.serial or None,
        "not_before_ms": ms_of(held.begins),
        "expires_ms": ms_of(held.expires),
        "hosts": held.hosts,
        "faults": held.faults,
        "warnings": held.warnings,
    }

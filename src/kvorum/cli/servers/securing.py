"""Options of servers that concern who may reach them, and what is refused without them.

open      only this machine reaches the node, or --insecure is given: everybody may do everything
secure    --certs: TLS, and everybody has to say who he is
"""

from __future__ import annotations

import ipaddress
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from kvorum.audit.settings import AuditSettings, ShownKeys
from kvorum.certificates.cluster import issue_for
from kvorum.certificates.reading import certificates_in, cluster_of
from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.cli.servers.topology_file import read_secret
from kvorum.devcluster.layout import Layout
from kvorum.model.address import parse_address
from kvorum.model.audit_level import AuditLevel
from kvorum.model.errors import ConfigError
from kvorum.model.topology import NodeSpec, Topology
from kvorum.node.admin_token import write_admin_token
from kvorum.node.secured import Secured
from kvorum.storage import durable_file
from kvorum.tls.files import TlsFiles
from kvorum.tls.node_tls import NodeTls

_SECRET: Final = "cluster.secret"
_SECRET_BYTES: Final = 32
_Command = TypeVar("_Command", bound=Callable[..., Any])

certs_option: Final = click.option(
    "--certs",
    type=NonEmptyPath(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Speak TLS, and authenticate everybody: the directory with ca.crt, and with NODE.crt and "
    "NODE.key of the node (see 'kvorum certs').",
)


def audit_options(command: _Command) -> _Command:
    """--audit and --audit-keys."""
    level = click.option(
        "--audit",
        type=click.Choice([level.value for level in AuditLevel]),
        help="What the audit log has: nothing, administration and refusals, also writes, or also "
        "reads.  [default: admin with --certs]",
    )
    keys = click.option(
        "--audit-keys",
        type=click.Choice([keys.value for keys in ShownKeys]),
        help="How the audit log shows keys of entries.  [default: plain]",
    )
    return level(keys(command))


def secured_by(
    certs: Path | None, audit: str | None, audit_keys: str | None, *, writes_admin_token: bool
) -> Secured | None:
    """What the options come to; None for an open node. Raises UsageError."""
    if certs is None:
        for option, value in (("--audit", audit), ("--audit-keys", audit_keys)):
            if value is not None:
                raise click.UsageError(
                    f"{option} needs --certs: an open node does not know who asks it"
                )
        return None
    settings = AuditSettings(
        level=AuditLevel(audit or AuditLevel.ADMIN), keys=ShownKeys(audit_keys or ShownKeys.PLAIN)
    )
    return Secured(certs=certs, audit=settings, writes_admin_token=writes_admin_token)


def with_own_secret(topology: Topology, certs: Path, data_dir: Path) -> Topology:
    """`topology`, of a node alone, as the cluster that its certificates are for, and with the
    secret in `data_dir`, or a new one, which `keep_secret` is to store. Raises ConfigError.
    """
    authority = certs / "ca.crt"
    try:
        cluster = cluster_of(certificates_in(authority.read_bytes(), authority)[0], authority)
    except OSError as error:
        raise ConfigError(
            f"The certificate of the authority, {authority}, cannot be read: {error.strerror}. "
            "Make one with 'kvorum certs init'."
        ) from error
    NodeTls(TlsFiles(certs, topology.nodes[0].name), cluster, lambda _serial: False)
    return msgspec.structs.replace(topology, cluster=cluster, secret=_own_secret(data_dir))


def _own_secret(data_dir: Path) -> bytes:
    path = data_dir / _SECRET
    return read_secret(path) if path.exists() else secrets.token_hex(_SECRET_BYTES).encode()


def keep_secret(topology: Topology, data_dir: Path) -> None:
    """Store the secret of `topology`, of a node alone, in `data_dir`, unless it came from there.
    Raises ConfigError.
    """
    path = data_dir / _SECRET
    if path.exists():
        return
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable_file.replace(path, topology.secret + b"\n")
    except OSError as error:
        raise ConfigError(
            f"The secret {path} cannot be written: {error.strerror}. Choose another directory, or "
            "correct its permissions."
        ) from error


def secure(layout: Layout, topology: Topology) -> None:
    """Make what a secure cluster on this machine needs: an authority, a certificate for each node,
    and the first administrator's token. What an attempt that was cut short has left is replaced.

    Raises ConfigError.
    """
    draft = layout.certificates.with_name("certs.new")
    shutil.rmtree(draft, ignore_errors=True)
    issue_for(topology, draft)
    write_admin_token(layout.directory, topology.secret)
    shutil.rmtree(layout.certificates, ignore_errors=True)
    draft.rename(layout.certificates)


def check_loopback(spec: NodeSpec) -> None:
    """Raises ConfigError if others than this machine could connect to the node."""
    for text in filter(None, (spec.http, spec.peer)):
        if not _is_loopback(parse_address(text).host):
            raise ConfigError(
                f"{spec.name} would listen at {text}, which other machines can reach, and whoever "
                "reaches it could read and write everything. Give it certificates with --certs "
                "('kvorum certs init' and 'kvorum certs issue' make them), or use a loopback "
                "address such as 127.0.0.1, or add --insecure if the network is trusted."
            )


def check_secret(topology: Topology, secured: Secured | None) -> None:
    """Raises ConfigError if others could work out a secret that is to keep them out."""
    if not topology.secret_is_derived:
        return
    if secured is not None:
        raise ConfigError(
            f"The cluster {topology.cluster!r} has no secret, and the first administrator's token "
            "follows from it. Make one with `(umask 077; openssl rand -base64 32 > "
            "cluster.secret)`, and put it beside the cluster file of every node."
        )
    for node in topology.nodes:
        if node.peer and not _is_loopback(parse_address(node.peer).host):
            raise ConfigError(
                f"The cluster {topology.cluster!r} has no secret, so whoever reaches the peer port "
                f"{node.peer} of {node.name} could pass for a node and read everything. Make one "
                "with `(umask 077; openssl rand -base64 32 > cluster.secret)` and put it beside "
                "the cluster file of every node."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

"""`kvorum certs revoke`: a certificate that is not accepted any more; and which are not."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click

from kvorum.certificates.authority import stem_of
from kvorum.certificates.directory import CertificateDirectory
from kvorum.certificates.reading import expires_at
from kvorum.certificates.rotation import present
from kvorum.cli.confirmation import confirm
from kvorum.cli.connection import asks_cluster
from kvorum.cli.moments import to_the_second
from kvorum.cli.output import output_option, print_result
from kvorum.cli.security.grants import asked
from kvorum.cli.security.issued import directory_option, ms_of
from kvorum.cli.security.reach import print_reach
from kvorum.client.synchronous import Client
from kvorum.client.url import Target
from kvorum.model.errors import ConfigError


class _Revoked(NamedTuple):
    """The certificate that is to be revoked. `until_ms`: when it expires, None if not known."""

    serial: str
    name: str
    until_ms: int | None


@click.command()
@click.argument("node", metavar="[NODE]", required=False)
@directory_option
@click.option("--client", metavar="NAME", help="The certificate of this client.")
@click.option(
    "--serial",
    metavar="HEX",
    help="The one with this number, as 'kvorum certs list' or 'rotate' shows it.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks_cluster
@output_option
def revoke(
    target: Target,
    node: str | None,
    directory: Path,
    client: str | None,
    serial: str | None,
    yes: bool,
    output: str,
) -> None:
    """Have a certificate not accepted any more, on all nodes within a second.

    The certificate is the one in the directory of NODE or --client, or the one with that --serial,
    which need not be there; say whose it was, then. Connections made with it are closed. A node
    that is to stay needs a new certificate first, see 'kvorum certs rotate'.

    \b
    kvorum certs revoke n3
    kvorum certs revoke --client billing --yes
    kvorum certs revoke n1 --serial 5d0c41a7f3
    """
    if (node is None) == (client is None) and (node is not None or serial is None):
        raise click.UsageError("Name a node or a --client, or give the --serial of a certificate")
    if serial is not None:
        wanted = _by_serial(directory, _plain(serial), node or client)
    else:
        stem = stem_of("client", client) if client else stem_of("node", node or "")
        wanted = _of_stem(CertificateDirectory(directory), stem)
    if not yes:
        confirm(f"Revoke the certificate {wanted.serial} of {wanted.name} for good?")
    revoked = asked(
        target,
        lambda asking: asking.revoke_certificate(wanted.serial, wanted.name, wanted.until_ms),
    )
    print_reach(output, f"certificate {wanted.serial} of {wanted.name} revoked", revoked)


@click.command()
@asks_cluster
@output_option
def revocations(target: Target, output: str) -> None:
    """Show which certificates the cluster does not accept any more.

    \b
    kvorum certs revocations
    """
    found = asked(target, Client.revocations)
    columns = ("name", "revoked", "would expire", "serial")
    rows = [
        (one.name, to_the_second(one.revoked_ms), to_the_second(one.until_ms), one.serial)
        for one in found
    ]
    print_result(output, {"revocations": found}, "revoked certificates", columns, rows)


def _plain(serial: str) -> str:
    """As the cluster knows it: `openssl x509 -serial` writes capitals, and others colons."""
    return serial.replace(":", "").lower().lstrip("0")


def _of_stem(files: CertificateDirectory, stem: str) -> _Revoked:
    found = present(files, stem)
    until_ms = ms_of(expires_at(found.certificate))
    return _Revoked(found.certified.serial, found.certified.name, until_ms)


def _by_serial(directory: Path, serial: str, name: str | None) -> _Revoked:
    files = CertificateDirectory(directory)
    for stem in files.stems():
        try:
            found = _of_stem(files, stem)
        except ConfigError:  # of no concern to who knows the number
            continue
        if found.serial == serial:
            return found
    if name is None:
        raise ConfigError(
            f"No certificate in {directory} has the number {serial[:60]!r}. Say whose it was: name "
            "the node, or give --client."
        )
    return _Revoked(serial, name, None)

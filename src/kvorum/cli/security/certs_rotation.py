"""`kvorum certs rotate`: new keys and certificates, and a new authority in three steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from kvorum.certificates.authority import AUTHORITY_DAYS, Authority, stem_of
from kvorum.certificates.directory import AUTHORITY, CertificateDirectory
from kvorum.certificates.rotation import Rotated, announce, finish, next_step, replace
from kvorum.certificates.rotation import rotate as rotate_certificates
from kvorum.cli.output import output_option, print_json
from kvorum.cli.security.issued import days_option, directory_option, ms_of, print_issued
from kvorum.model.errors import ConfigError


@click.command()
@click.argument("nodes", metavar="[NODE...]", nargs=-1)
@directory_option
@click.option("--client", "clients", multiple=True, metavar="NAME", help="That of this client.")
@click.option("--authority", is_flag=True, help="Replace the authority: take the next step.")
@click.option("--finish", "finishes", is_flag=True, help="With --authority: the last step.")
@days_option("For how many days the new ones are valid.  [default: as with init and issue]")
@output_option
def rotate(
    nodes: tuple[str, ...],
    directory: Path,
    clients: tuple[str, ...],
    authority: bool,
    finishes: bool,
    days: int | None,
    output: str,
) -> None:
    """Issue new certificates with new keys, for the same hosts.

    Without names, for all that are in the directory. Nodes read new files within a second, without
    a restart. The old ones stay valid until they expire: 'kvorum certs revoke --serial' ends them.

    With --authority the authority is replaced, in three steps, so that a running cluster always
    trusts itself; each step says what to do before the next.

    \b
    kvorum certs rotate
    kvorum certs rotate n1 --client billing
    kvorum certs rotate --authority
    kvorum certs rotate --authority --finish
    """
    if finishes and not authority:
        raise click.UsageError("--finish needs --authority")
    if authority and (nodes or clients):
        raise click.UsageError("--authority concerns all nodes and clients: name none")
    files = CertificateDirectory(directory)
    with files.locked():
        if not authority:
            _rotate(directory, nodes, clients, days, output)
        elif finishes:
            _finish(directory, output)
        else:
            _next(directory, days, output)


def _rotate(
    directory: Path,
    nodes: Sequence[str],
    clients: Sequence[str],
    days: int | None,
    output: str,
) -> None:
    issuer = Authority.open(directory)
    stems = [stem_of("node", name) for name in nodes]
    stems += [stem_of("client", name) for name in clients]
    rotated = rotate_certificates(issuer, stems or issuer.directory.stems(), days)
    if not rotated:
        raise ConfigError(
            f"The authority in {directory} has issued nothing that could be rotated. Issue "
            "certificates with 'kvorum certs issue'."
        )
    _print(output, rotated, {})
    if output != "json":
        click.echo(
            "Copy each pair to where the old one is, unless nodes share this directory. The old "
            "ones stay valid until they expire; a key that others know is ended with 'kvorum certs "
            "revoke --serial'."
        )


def _next(directory: Path, days: int | None, output: str) -> None:
    step = next_step(directory)
    bundle = CertificateDirectory(directory).certificate(AUTHORITY)
    if step == "announce":
        certificate = announce(directory, days or AUTHORITY_DAYS)
        expires = certificate.not_valid_after_utc
        _say(
            output,
            {"step": 1, "authority": str(bundle), "expires_ms": ms_of(expires)},
            f"step 1 of 3: there is a new authority, until {expires:%Y-%m-%d}; {bundle} names it "
            "beside the old one.",
            f"Copy {bundle} to all nodes and clients that have a copy. When all have it, run this "
            "command again.",
        )
    elif step == "replace":
        rotated = replace(directory, days)
        _print(output, rotated, {"step": 2, "authority": str(bundle)})
        if output != "json":
            click.echo("step 2 of 3: the new authority issues now, and has issued these.")
            click.echo(
                "Copy each pair to where the old one is, unless nodes share this directory. What "
                "was issued and is not in this directory, issue anew. When all nodes and clients "
                "have theirs, run 'kvorum certs rotate --authority --finish'."
            )
    else:
        raise ConfigError(
            f"All in {directory} is of the new authority already. When all nodes and clients have "
            "their certificates of it, run 'kvorum certs rotate --authority --finish'."
        )


def _finish(directory: Path, output: str) -> None:
    dropped = finish(directory)
    bundle = CertificateDirectory(directory).certificate(AUTHORITY)
    serials = [f"{one.serial_number:x}" for one in dropped]
    _say(
        output,
        {"step": 3, "authority": str(bundle), "dropped": serials},
        f"step 3 of 3: {bundle} names the new authority only.",
        f"Copy {bundle} to all nodes and clients that have a copy: until then they trust the old "
        "one, too.",
    )


def _print(output: str, rotated: Sequence[Rotated], more: dict[str, object]) -> None:
    print_issued(output, [one.issued for one in rotated], [one.replaced for one in rotated], more)


def _say(output: str, document: dict[str, object], *lines: str) -> None:
    if output == "json":
        print_json(document)
    else:
        for line in lines:
            click.echo(line)

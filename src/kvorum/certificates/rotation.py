"""Rotation: new keys and certificates for who has some, and a new authority for a running cluster.

An authority is replaced in three steps, between which `ca.crt` and the certificates reach all nodes
and clients. At each moment every node trusts whatever any other one shows:

    announce    ca.crt names the old and the new one; the old one still issues
    replace     the new one issues, and has issued anew what is in the directory
    finish      ca.crt names the new one only

Which step is next shows in the files, so one that was interrupted is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cryptography import x509

from kvorum.certificates.authority import (
    AUTHORITY_DAYS,
    CLIENT_DAYS,
    NODE_DAYS,
    Authority,
    Issued,
    new_authority,
)
from kvorum.certificates.directory import AUTHORITY, NEXT_AUTHORITY, CertificateDirectory
from kvorum.certificates.profile import private_bytes
from kvorum.certificates.reading import (
    certificates_in,
    certified_name,
    cluster_of,
    hosts_of,
    key_in,
    public_bytes,
)
from kvorum.model.certified_name import CertifiedName
from kvorum.model.errors import ConfigError

Step = Literal["announce", "replace"]

_SETTLED_S: Final = 5.0
"""Nodes look at their files once a second: so long a step waits for the one before."""


class Rotated(NamedTuple):
    """A certificate that was issued in place of another, whose number `replaced` is."""

    issued: Issued
    replaced: str


class Present(NamedTuple):
    """The certificate that a node or client has."""

    certified: CertifiedName
    certificate: x509.Certificate
    hosts: list[str]


def present(files: CertificateDirectory, stem: str) -> Present:
    """The certificate of `stem`. Raises ConfigError if there is none that can be read."""
    file = files.certificate(stem)
    certificate = certificates_in(files.read(file), file)[0]
    return Present(certified_name(certificate, file), certificate, hosts_of(certificate))


def rotate(authority: Authority, stems: Sequence[str], days: int | None = None) -> list[Rotated]:
    """Issue anew what is in the directory under `stems`, for the same hosts. `days`: how long it
    is valid; None for as long as is usual. Raises ConfigError; nothing is changed if one of them
    cannot be read.
    """
    old = [present(authority.directory, stem) for stem in stems]
    for stem, one in zip(stems, old, strict=True):
        _check_same(authority, stem, one.certified)
    return [_again(authority, one, days) for one in old]


def next_step(directory: Path) -> Step | None:
    """The step that is next in `directory`; None if all that is left is `finish`.

    Raises ConfigError.
    """
    files = CertificateDirectory(directory)
    certificates = _trusted(files)
    if _announced(files, certificates) is not None:
        return "replace"
    if len(certificates) == 1:
        return "announce"
    return "replace" if _left_behind(Authority.open(directory)) else None


def announce(directory: Path, days: int = AUTHORITY_DAYS) -> x509.Certificate:
    """Make a new authority, which is trusted beside the old one and issues nothing yet.

    Returns its certificate. Raises ConfigError.
    """
    files = CertificateDirectory(directory)
    old = _trusted(files)[0]
    key, certificate = new_authority(cluster_of(old, files.certificate(AUTHORITY)), days)
    bundle = public_bytes(old) + public_bytes(certificate)
    files.replace(
        (
            files.key_file(NEXT_AUTHORITY, private_bytes(key)),
            files.certificate_file(AUTHORITY, bundle),
        )
    )
    return certificate


def replace(directory: Path, days: int | None = None) -> list[Rotated]:
    """Have the new authority issue, first of all what is in the directory. Raises ConfigError."""
    files = CertificateDirectory(directory)
    for stem in files.stems():
        present(files, stem)
    if _announced(files, _trusted(files)) is not None:
        _check_settled(files, [AUTHORITY])
        files.promote(AUTHORITY, NEXT_AUTHORITY)
    authority = Authority.open(directory)
    return rotate(authority, _left_behind(authority), days)


def finish(directory: Path) -> list[x509.Certificate]:
    """Trust the new authority only. Returns the certificates of those trusted no more.

    Raises ConfigError, with nothing changed, if there is no other authority, or if something in
    the directory is still of it.
    """
    files = CertificateDirectory(directory)
    certificates = _trusted(files)
    if _announced(files, certificates) is not None:
        raise ConfigError(
            f"The new authority in {directory} has issued nothing yet. Copy ca.crt to all nodes "
            "and clients, then run 'kvorum certs rotate --authority' once more."
        )
    authority = Authority.open(directory)
    dropped = [one for one in certificates if one != authority.certificate]
    if not dropped:
        raise ConfigError(
            f"No authority is being replaced in {directory}. Begin with 'kvorum certs rotate "
            "--authority'."
        )
    left = _left_behind(authority)
    if left:
        raise ConfigError(
            f"{files.certificate(left[0])} is still of the authority that is to go. Issue it anew "
            "with 'kvorum certs rotate --authority', copy it, and then finish."
        )
    _check_settled(files, files.stems())
    files.replace((files.certificate_file(AUTHORITY, public_bytes(authority.certificate)),))
    return dropped


def _again(authority: Authority, old: Present, days: int | None) -> Rotated:
    name = old.certified.name
    if old.certified.kind == "client":
        issued = authority.issue_client(name, days or CLIENT_DAYS)
    else:
        issued = authority.issue_node(name, old.hosts, days or NODE_DAYS)
    return Rotated(issued, old.certified.serial)


def _check_same(authority: Authority, stem: str, named: CertifiedName) -> None:
    file = authority.directory.certificate(stem)
    wanted = f"client-{named.name}" if named.kind == "client" else named.name
    if stem != wanted or named.cluster != authority.cluster:
        raise ConfigError(
            f"{file} is for {named.uri}, and not what its name says in the cluster "
            f"{authority.cluster!r}. Put it where it belongs, and issue this one with 'kvorum "
            "certs issue'."
        )


def _trusted(files: CertificateDirectory) -> list[x509.Certificate]:
    file = files.certificate(AUTHORITY)
    return certificates_in(files.read(file), file)


def _announced(
    files: CertificateDirectory, certificates: list[x509.Certificate]
) -> x509.Certificate | None:
    """The authority that is to follow, if it is trusted already."""
    file = files.key(NEXT_AUTHORITY)
    if not file.exists():
        return None
    public = key_in(files.read(file), file).public_key()
    return next((one for one in certificates if one.public_key() == public), None)


def _left_behind(authority: Authority) -> list[str]:
    """What is in the directory and not of `authority`."""
    files = authority.directory
    return [
        stem for stem in files.stems() if not authority.has_issued(present(files, stem).certificate)
    ]


def _check_settled(files: CertificateDirectory, stems: Sequence[str]) -> None:
    now_s = time.time()
    if any(0 <= files.changed_s_ago(stem, now_s) < _SETTLED_S for stem in stems):
        raise ConfigError(
            f"The step before was less than {_SETTLED_S:.0f} seconds ago, and nodes have to read "
            f"what it wrote to {files.path} first. Copy it to where it is needed, and repeat this."
        )

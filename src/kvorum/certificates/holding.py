"""What a directory of certificates holds, and what is wrong with it or will be soon."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from cryptography import x509

from kvorum.certificates.authority import is_issued_by
from kvorum.certificates.directory import AUTHORITY, CLIENT_PREFIX, CertificateDirectory
from kvorum.certificates.reading import (
    certificates_in,
    certified_name,
    expires_at,
    hosts_of,
    key_in,
    shown,
)
from kvorum.model.errors import ConfigError
from kvorum.tls.files import TlsFiles

HeldKind = Literal["authority", "node", "client"]
WARN_DAYS: Final[dict[HeldKind, int]] = {"authority": 365, "node": 30, "client": 14}
"""So long before it expires a certificate is warned of."""


@dataclass(slots=True)
class Held:
    """A certificate in the directory. `faults` keep it from being used; `warnings` do not yet.
    Of one that cannot be read there are only the name and the fault.
    """

    name: str
    kind: HeldKind
    file: Path
    serial: str = ""
    begins: datetime.datetime | None = None
    expires: datetime.datetime | None = None
    hosts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def held_in(directory: Path, now: datetime.datetime) -> list[Held]:
    """What there is in `directory`: its authorities, then nodes, then clients, each by name.

    Raises ConfigError if there is no such directory, or nothing in it.
    """
    files = CertificateDirectory(directory)
    stems = files.stems()
    authority = files.certificate(AUTHORITY)
    if not directory.is_dir() or not (stems or authority.exists()):
        raise ConfigError(
            f"There are no certificates in {directory}. Name their directory with --dir, or make "
            "one with 'kvorum certs init'."
        )
    authorities, held = _authorities(files, now)
    leaves = [leaf_held(files, stem, authorities, now) for stem in stems]
    return held + sorted(leaves, key=lambda one: (one.kind == "client", one.name))


def leaf_held(
    files: CertificateDirectory,
    stem: str,
    authorities: list[x509.Certificate],
    now: datetime.datetime,
) -> Held:
    """The certificate of a node or client in `files`."""
    is_client = stem.startswith(CLIENT_PREFIX)
    held = Held(
        stem.removeprefix(CLIENT_PREFIX) if is_client else stem,
        "client" if is_client else "node",
        files.certificate(stem),
    )
    try:
        certificate = certificates_in(files.read(held.file), held.file)[0]
        named = certified_name(certificate, held.file)
    except ConfigError:
        held.faults.append("no certificate that can be read")
        return held
    _describe(held, certificate, now)
    held.hosts = hosts_of(certificate)
    if (named.kind, named.name) != (held.kind, held.name):
        held.faults.append(f"is for the {named.kind} {named.name}")
    if authorities and not any(is_issued_by(certificate, one) for one in authorities):
        held.faults.append("of another authority")
    _look_at_key(files, stem, held, [certificate])
    return held


def _authorities(
    files: CertificateDirectory, now: datetime.datetime
) -> tuple[list[x509.Certificate], list[Held]]:
    file = files.certificate(AUTHORITY)
    try:
        certificates = certificates_in(files.read(file), file)
    except ConfigError:
        fault = "missing" if not file.exists() else "no certificate that can be read"
        return [], [Held(AUTHORITY, "authority", file, faults=[fault])]
    held = [Held(AUTHORITY, "authority", file) for _ in certificates]
    for one, certificate in zip(held, certificates, strict=True):
        _describe(one, certificate, now)
    if files.key(AUTHORITY).exists():  # only where certificates are issued
        _look_at_key(files, AUTHORITY, held[0], certificates)
    return certificates, held


def _describe(held: Held, certificate: x509.Certificate, now: datetime.datetime) -> None:
    held.serial = f"{certificate.serial_number:x}"
    held.begins = certificate.not_valid_before_utc
    held.expires = expires_at(certificate)
    if held.expires <= now:
        held.faults.append("expired")
    elif now < held.begins:
        held.faults.append(f"not valid before {shown(held.begins)}")
    elif held.expires - now < datetime.timedelta(days=WARN_DAYS[held.kind]):
        held.warnings.append("expires soon")


def _look_at_key(
    files: CertificateDirectory, stem: str, held: Held, certificates: list[x509.Certificate]
) -> None:
    """What is wrong with the key, which has to fit one of `certificates`."""
    key = files.key(stem)
    if not key.exists():
        held.warnings.append("its key is not here")
        return
    try:
        public = key_in(files.read(key), key).public_key()
    except ConfigError:
        held.faults.append("no key that can be read")
        return
    if all(one.public_key() != public for one in certificates):
        held.faults.append("the key does not fit")
    try:
        TlsFiles(files.path, stem).check_secrecy()
    except ConfigError:
        held.faults.append("others may read the key")

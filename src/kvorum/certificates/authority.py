"""A certificate authority, which vouches for the nodes and clients of one cluster and nobody else.

What it issues is never valid for longer than the authority itself.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from kvorum.certificates.directory import (
    AUTHORITY,
    CLIENT_PREFIX,
    NEXT_AUTHORITY,
    CertificateDirectory,
    File,
    client_stem,
)
from kvorum.certificates.profile import (
    authority_certificate,
    leaf_certificate,
    new_key,
    private_bytes,
)
from kvorum.certificates.reading import (
    certificates_in,
    cluster_of,
    expires_at,
    key_in,
    public_bytes,
    shown,
)
from kvorum.model.address import is_host
from kvorum.model.certified_name import CertifiedName, Kind
from kvorum.model.errors import ConfigError
from kvorum.model.field_checks import check_name
from kvorum.model.topology import naming
from kvorum.tls.files import TlsFiles

AUTHORITY_DAYS: Final = 3650
NODE_DAYS: Final = 365
CLIENT_DAYS: Final = 90
DAYS_MAX: Final = 36500

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class Issued(NamedTuple):
    """A certificate that was just issued, and where its files are. `capped`: it expires earlier
    than it was to, with its authority.
    """

    certified: CertifiedName
    certificate: Path
    key: Path
    expires: datetime.datetime
    hosts: tuple[str, ...]
    capped: bool


class Authority:
    """The authority of one cluster, with its key. Every method raises ConfigError where a file
    cannot be read or written, or says what it must not; nothing is changed then.
    """

    def __init__(
        self,
        directory: CertificateDirectory,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
    ) -> None:
        self.directory = directory
        self.certificate = certificate
        self._key = key
        self.cluster = cluster_of(certificate, directory.certificate(AUTHORITY))

    @classmethod
    def create(cls, directory: Path, cluster: str, days: int = AUTHORITY_DAYS) -> Authority:
        """Make an authority for `cluster`, valid for so many `days`, in a directory without one."""
        with naming("cluster"):
            check_name(cluster)
        files = CertificateDirectory(directory)
        _check_none_is_there(files)
        key, certificate = new_authority(cluster, days)
        files.make()
        files.replace(
            (
                files.key_file(AUTHORITY, private_bytes(key)),
                files.certificate_file(AUTHORITY, public_bytes(certificate)),
            )
        )
        return cls(files, certificate, key)

    @classmethod
    def open(cls, directory: Path) -> Authority:
        """The authority in `directory`."""
        files = CertificateDirectory(directory)
        file = files.certificate(AUTHORITY)
        certificates = certificates_in(files.read(file), file)
        pem = files.read(files.key(AUTHORITY))
        TlsFiles(directory, AUTHORITY).check_secrecy()
        key = key_in(pem, files.key(AUTHORITY))
        for certificate in certificates:
            if certificate.public_key() == key.public_key():
                return cls(files, certificate, key)
        raise ConfigError(
            f"The key {files.key(AUTHORITY)} does not fit the certificate {file}. Put the two that "
            "belong together in their places."
        )

    def issue_node(self, name: str, hosts: Sequence[str], days: int = NODE_DAYS) -> Issued:
        """Make key and certificate of the node called `name`, reached at `hosts` (names and IP
        addresses), in place of those that it has.
        """
        plain = [host.removeprefix("[").removesuffix("]") for host in hosts]
        for host in plain:
            if not is_host(host):
                raise ConfigError(
                    f"{host[:200]!r} is no host name and no IP address. Give those at which the "
                    f"node {name!r} is reached, without a port."
                )
        names = dict.fromkeys((*plain, *(_LOCAL if _is_local(plain) else ())))
        return self._issue("node", name, tuple(names), days)

    def issue_client(self, name: str, days: int = CLIENT_DAYS) -> Issued:
        """Make key and certificate of the client called `name`, in place of those it has."""
        return self._issue("client", name, (), days)

    def has_issued(self, certificate: x509.Certificate) -> bool:
        """Whether `certificate` is of this authority, not of an earlier or another one."""
        return is_issued_by(certificate, self.certificate)

    def _issue(self, kind: Kind, name: str, hosts: tuple[str, ...], days: int) -> Issued:
        stem = stem_of(kind, name)
        now = _now()
        wanted = _after(now, days)
        self._check_time(now)
        expires = min(wanted, expires_at(self.certificate))
        certified = CertifiedName(self.cluster, kind, name, "")
        key = new_key()
        certificate = leaf_certificate(
            certified, hosts, key.public_key(), (self.certificate, self._key), (now, expires)
        )
        files: tuple[File, ...] = (
            self.directory.key_file(stem, private_bytes(key)),
            self.directory.certificate_file(stem, public_bytes(certificate)),
        )
        self.directory.replace(files)
        return Issued(
            certified._replace(serial=f"{certificate.serial_number:x}"),
            self.directory.certificate(stem),
            self.directory.key(stem),
            expires,
            hosts,
            expires < wanted,
        )

    def _check_time(self, now: datetime.datetime) -> None:
        file = self.directory.certificate(AUTHORITY)
        if expires_at(self.certificate) <= now:
            raise ConfigError(
                f"The authority {file} has expired at {shown(expires_at(self.certificate))}. Make "
                "a new one with 'kvorum certs rotate --authority'."
            )
        begins = self.certificate.not_valid_before_utc
        if now < begins:
            raise ConfigError(
                f"The authority {file} is valid from {shown(begins)} on, and this machine's clock "
                f"shows {shown(now)}. Correct the clock."
            )


def new_authority(
    cluster: str, days: int = AUTHORITY_DAYS
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Key and certificate of an authority that is nowhere yet. Raises ConfigError."""
    now = _now()
    expires = _after(now, days)
    key = new_key()
    return key, authority_certificate(cluster, key, now, expires)


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether `certificate` names the key of `authority` as the one that signed it."""
    try:
        extensions = certificate.extensions
        signer = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        extensions = authority.extensions
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return False
    return signer.key_identifier == identifier.digest


def stem_of(kind: Kind, name: str) -> str:
    """How the files of a node or client are called. Raises ConfigError if it cannot have them."""
    with naming(kind):
        check_name(name)
        if kind == "client":
            return client_stem(name)
        if name in (AUTHORITY, NEXT_AUTHORITY) or name.startswith(CLIENT_PREFIX):
            raise ConfigError(
                f"{name!r} is no name for a node: its files would be taken for those of the "
                "authority or of a client. Choose one that is not 'ca' or 'ca-next' and does not "
                "begin with 'client-'."
            )
        return name


def _check_none_is_there(files: CertificateDirectory) -> None:
    certificate, key = files.certificate(AUTHORITY), files.key(AUTHORITY)
    if certificate.exists():
        raise ConfigError(
            f"{files.path} has an authority already: {certificate.name}. Choose another directory, "
            "or make a new authority for its cluster with 'kvorum certs rotate --authority'."
        )
    if key.exists():
        raise ConfigError(
            f"{files.path} has the key of an authority, {key.name}, without its certificate "
            f"{certificate.name}. If you have that, put it back; if an earlier 'kvorum certs init' "
            f"was interrupted, delete {key} and repeat this."
        )


def _after(now: datetime.datetime, days: int) -> datetime.datetime:
    if not 1 <= days <= DAYS_MAX:
        raise ConfigError(
            f"A certificate cannot be valid for {days} days. Give 1 to {DAYS_MAX} days."
        )
    return now + datetime.timedelta(days=days)


def _is_local(hosts: Sequence[str]) -> bool:
    """True if a node at these addresses is reached over loopback, too."""
    for host in hosts:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            if host == "localhost":
                return True
        else:
            if address.is_loopback or address.is_unspecified:
                return True
    return False


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)

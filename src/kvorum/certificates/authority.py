"""A certificate authority, which vouches for the nodes and clients of one cluster and nobody else.

Certificates follow RFC 5280, with keys of ECDSA on P-256, which every TLS library knows. Whom one
certifies stands in it as a URI (`model/certified_name.py`); the common name is for people. A node
is certified for both directions, as it dials and is dialed; a client only as a client.

Each is valid from five minutes before it is made, since the clocks of machines differ, and never
longer than the authority itself.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kvorum.certificates.directory import AUTHORITY, CertificateDirectory, client_stem
from kvorum.certificates.reading import (
    certificates_in,
    cluster_of,
    expires_at,
    key_in,
    public_bytes,
)
from kvorum.model.certified_name import CertifiedName, Kind
from kvorum.model.errors import ConfigError
from kvorum.model.field_checks import check_name
from kvorum.model.topology import naming

AUTHORITY_DAYS: Final = 3650
NODE_DAYS: Final = 365
CLIENT_DAYS: Final = 90

_BACKDATED: Final = datetime.timedelta(minutes=5)
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class Issued(NamedTuple):
    """A certificate that was just issued, and where its files are."""

    certified: CertifiedName
    certificate: Path
    key: Path
    expires: datetime.datetime


class Authority:
    """The authority of one cluster, with its key. Every method raises ConfigError where a file
    cannot be read or written, or says what it must not.
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
        for file in (files.certificate(AUTHORITY), files.key(AUTHORITY)):
            if file.exists():
                raise ConfigError(
                    f"{directory} has an authority already: {file.name}. Choose another directory, "
                    "or rotate the authority with 'kvorum certs rotate --authority'."
                )
        files.make()
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(cluster, key, days)
        files.write_key(AUTHORITY, private_bytes(key))
        files.write_certificate(AUTHORITY, public_bytes(certificate))
        return cls(files, certificate, key)

    @classmethod
    def open(cls, directory: Path) -> Authority:
        """The authority in `directory`."""
        files = CertificateDirectory(directory)
        file = files.certificate(AUTHORITY)
        certificates = certificates_in(files.read(file), file)
        key = key_in(files.read(files.key(AUTHORITY)), files.key(AUTHORITY))
        for certificate in certificates:
            if certificate.public_key() == key.public_key():
                return cls(files, certificate, key)
        raise ConfigError(
            f"The key {files.key(AUTHORITY)} does not fit the certificate {file}. Put the two that "
            "belong together in their places."
        )

    def issue_node(self, name: str, hosts: Sequence[str], days: int = NODE_DAYS) -> Issued:
        """Make key and certificate of the node called `name`, reached at `hosts` (names and IP
        addresses).
        """
        names = dict.fromkeys((*hosts, *(_LOCAL if _is_local(hosts) else ())))
        return self._issue("node", name, tuple(names), days)

    def issue_client(self, name: str, days: int = CLIENT_DAYS) -> Issued:
        """Make key and certificate of the client called `name`."""
        return self._issue("client", name, (), days)

    def _issue(self, kind: Kind, name: str, hosts: Sequence[str], days: int) -> Issued:
        with naming(kind):
            check_name(name)
        if kind == "node" and name == AUTHORITY:
            raise ConfigError("The name 'ca' is that of the authority's files. Choose another one.")
        if days <= 0:
            raise ConfigError(f"A certificate cannot be valid for {days} days. Give 1 or more.")
        now = _now()
        if expires_at(self.certificate) <= now:
            raise ConfigError(
                f"The authority {self.directory.certificate(AUTHORITY)} has expired on "
                f"{expires_at(self.certificate):%Y-%m-%d}. Rotate it with 'kvorum certs rotate "
                "--authority'."
            )
        key = ec.generate_private_key(ec.SECP256R1())
        certified = CertifiedName(self.cluster, kind, name, "")
        expires = min(now + datetime.timedelta(days=days), expires_at(self.certificate))
        builder = _builder(name, self.cluster, key.public_key(), now, expires)
        builder = builder.issuer_name(self.certificate.subject)
        certificate = _of_leaf(builder, certified, hosts, self.certificate).sign(
            self._key, hashes.SHA256()
        )
        stem = client_stem(name) if kind == "client" else name
        self.directory.write_key(stem, private_bytes(key))
        self.directory.write_certificate(stem, public_bytes(certificate))
        return Issued(
            certified._replace(serial=f"{certificate.serial_number:x}"),
            self.directory.certificate(stem),
            self.directory.key(stem),
            expires,
        )


def private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """`key` as PEM, which is not encrypted: the mode of its file keeps it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _self_signed(cluster: str, key: ec.EllipticCurvePrivateKey, days: int) -> x509.Certificate:
    now = _now()
    public = key.public_key()
    builder = _builder(
        f"kvorum authority of {cluster}", cluster, public, now, now + datetime.timedelta(days=days)
    )
    subject = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        builder.issuer_name(_name(f"kvorum authority of {cluster}", cluster))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certifies=True), critical=True)
        .add_extension(subject, critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(
    common_name: str,
    cluster: str,
    public: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    expires: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name, cluster))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(expires)
    )


def _of_leaf(
    builder: x509.CertificateBuilder,
    certified: CertifiedName,
    hosts: Sequence[str],
    authority: x509.Certificate,
) -> x509.CertificateBuilder:
    both = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if certified.kind == "node":
        both.append(ExtendedKeyUsageOID.SERVER_AUTH)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(certified.uri)]
    names += [_general_name(host) for host in hosts]
    issuer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    public = builder._public_key  # noqa: SLF001
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certifies=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
        )
    )


def _usage(*, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str, cluster: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64]),
        ]
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise ConfigError(f"{host[:200]!r} is no host name and no IP address.") from error


def _is_local(hosts: Sequence[str]) -> bool:
    """True if a node at these addresses is reached over loopback, too."""
    for host in hosts:
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            if host == "localhost":
                return True
        else:
            if address.is_loopback or address.is_unspecified:
                return True
    return False


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)

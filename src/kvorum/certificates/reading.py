"""Certificates and keys as they are read from files. Each function raises ConfigError that names
the file.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kvorum.model.certified_name import CertifiedName, parse_certified_name
from kvorum.model.errors import ConfigError
from kvorum.model.topology import naming


def certificates_in(pem: bytes, file: Path) -> list[x509.Certificate]:
    """All certificates in `pem`, at least one."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError(
            f"{file} holds no certificate in PEM: {error}. Issue it again with 'kvorum certs', or "
            "put a sound copy in its place."
        ) from error


def key_in(pem: bytes, file: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in `pem`."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        # Neither the text of that error nor its traceback may tell of the key.
        raise ConfigError(
            f"{file} holds no private key in PEM that can be read without a password. Issue it "
            "again with 'kvorum certs', or put a sound copy in its place."
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"The key {file} is none of ECDSA. Issue it with 'kvorum certs'.")
    return key


def certified_name(certificate: x509.Certificate, file: Path) -> CertifiedName:
    """Whom `certificate` names."""
    with naming(str(file)):
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
        except x509.ExtensionNotFound:
            uris = []
        if len(uris) != 1:
            raise ConfigError(
                "The certificate names no node and no client of a kvorum cluster. Issue one with "
                "'kvorum certs issue'."
            )
        return parse_certified_name(uris[0], f"{certificate.serial_number:x}")


def cluster_of(authority: x509.Certificate, file: Path) -> str:
    """The cluster that the certificate of an authority is of."""
    found = authority.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if len(found) != 1:
        raise ConfigError(
            f"The certificate {file} is none of an authority that 'kvorum certs init' made."
        )
    return str(found[0].value)


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """The host names and IP addresses that a node is certified for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]


def expires_at(certificate: x509.Certificate) -> datetime.datetime:
    """When it expires, in UTC."""
    return certificate.not_valid_after_utc


def shown(moment: datetime.datetime) -> str:
    """`moment`, in UTC, as sentences have it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def public_bytes(certificate: x509.Certificate) -> bytes:
    """`certificate` as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)

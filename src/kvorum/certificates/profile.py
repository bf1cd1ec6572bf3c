"""The profile of the certificates of a cluster: what each extension says, as RFC 5280 wants it.

Keys are of ECDSA on P-256, which every TLS library knows. Whom a certificate is for stands in it as
a URI (`model/certified_name.py`); the common name is for people. A node is certified for both
directions, as it dials and is dialed; a client only as a client.

Each certificate is valid from five minutes before it is made, since the clocks of machines differ.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kvorum.model.certified_name import CertifiedName

_BACKDATED: Final = datetime.timedelta(minutes=5)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A private key."""
    return ec.generate_private_key(ec.SECP256R1())


def private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """`key` as PEM, which is not encrypted: the mode of its file keeps it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def authority_certificate(
    cluster: str,
    key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
    expires: datetime.datetime,
) -> x509.Certificate:
    """The certificate of an authority of `cluster`, signed by itself."""
    name = _name(f"kvorum authority of {cluster}", cluster)
    subject = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, name, key.public_key(), now, expires)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certifies=True), critical=True)
        .add_extension(subject, critical=False)
        .sign(key, hashes.SHA256())
    )


def leaf_certificate(
    certified: CertifiedName,
    hosts: Sequence[str],
    public: ec.EllipticCurvePublicKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    times: tuple[datetime.datetime, datetime.datetime],
) -> x509.Certificate:
    """The certificate of a node or client. `times`: now, and when it expires."""
    authority, key = issuer
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if certified.kind == "node":
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(certified.uri)]
    names += [_general_name(host) for host in hosts]
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    subject = _name(certified.name, certified.cluster)
    return (
        _builder(subject, authority.subject, public, *times)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certifies=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    expires: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(expires)
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
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

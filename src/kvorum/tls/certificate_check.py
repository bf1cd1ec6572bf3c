"""Checks the certificate that this side is to show, before anybody is shown it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from kvorum.model.certified_name import CertifiedName, parse_certified_name
from kvorum.model.errors import ConfigError
from kvorum.tls.files import TlsFiles


def checked(files: TlsFiles) -> tuple[CertifiedName, int]:
    """The name that the certificate of `files` is for, and when it expires, in ms since 1970.

    Raises ConfigError, naming the file, where one is missing or broken, the key does not fit, may
    be read by others, or the certificate is of another authority, expired or not valid yet.
    """
    files.check_secrecy()
    certificate = _read(files.certificate)[0]
    _check_key(files, certificate)
    _check_authority(files, certificate)
    _check_time(files.certificate, certificate)
    expires_ms = int(certificate.not_valid_after_utc.timestamp() * 1000)
    return _name(files.certificate, certificate), expires_ms


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The file {path} cannot be read: {error.strerror or error}. Let the user that runs "
            "kvorum read it."
        ) from error


def _read(path: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_bytes(path))
    except ValueError as error:
        raise ConfigError(
            f"The file {path} holds no certificate in PEM. Issue the certificate again, or copy "
            "the whole file."
        ) from error


def _check_key(files: TlsFiles, certificate: x509.Certificate) -> None:
    try:
        key = load_pem_private_key(_bytes(files.key), password=None)
    except (ValueError, TypeError):
        # Neither the text of that error nor its traceback may tell of the key.
        raise ConfigError(
            f"The file {files.key} holds no private key in PEM that can be read without a "
            "password. Issue the certificate and its key again, or copy the whole file."
        ) from None
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise ConfigError(
            f"The key {files.key} does not fit the certificate {files.certificate}. Copy both "
            "from the directory where they were issued, or issue them again."
        )


def _check_authority(files: TlsFiles, certificate: x509.Certificate) -> None:
    for authority in _read(files.authority):
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return
    raise ConfigError(
        f"The certificate {files.certificate} is of none of the authorities in "
        f"{files.authority}. Copy both from one directory, or issue the certificate again."
    )


def _check_time(path: Path, certificate: x509.Certificate) -> None:
    now = datetime.now(UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        raise ConfigError(
            f"The certificate {path} is valid from {begins:%Y-%m-%d %H:%M:%S} UTC on, and this "
            f"machine's clock shows {now:%Y-%m-%d %H:%M:%S} UTC. Correct the clock, or wait."
        )
    if now > ends:
        raise ConfigError(
            f"The certificate {path} has expired at {ends:%Y-%m-%d %H:%M:%S} UTC. Issue a new "
            "one with `kvorum certs issue`."
        )


def _name(path: Path, certificate: x509.Certificate) -> CertifiedName:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    if len(uris) != 1:
        raise ConfigError(
            f"The certificate {path} names no node and no client: it needs one URI "
            "kvorum://CLUSTER/node/NAME. Issue it with `kvorum certs issue`."
        )
    try:
        return parse_certified_name(uris[0], f"{certificate.serial_number:x}")
    except ConfigError as error:
        raise ConfigError(f"The certificate {path} is of no use here. {error.message}") from error

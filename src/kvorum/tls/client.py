"""The TLS context of a client: which authorities it trusts, and the certificate that it may show.

TLS 1.2 or later. The server's certificate must be of a trusted authority and for the host that is
asked.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NoReturn

from kvorum.model.errors import ConfigError


def client_context(
    ca: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """A context that trusts the authorities in the file `ca`; None: those of the system. It shows
    `certificate`, whose private key is in `key`, if there is one. Raises ConfigError, which names
    the file that is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is None:
        context.load_default_certs()
    else:
        _trust(context, ca)
    if certificate is not None and key is not None:
        _show(context, certificate, key)
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    _check_readable(ca, "authorities")
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{ca} holds no certificate of an authority. Give a file in PEM, such as the ca.crt "
            "of the cluster."
        ) from error


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def no_password() -> NoReturn:
        raise ConfigError(
            f"The private key in {key} is encrypted. Give a file with the key as it is, which "
            "nobody else may read."
        )

    _check_readable(certificate, "certificate")
    _check_readable(key, "private key")
    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"The private key in {key} does not fit the certificate in {certificate}. Give "
                "the two that were made together."
            ) from error
        raise ConfigError(
            f"{certificate} and {key} are no certificate and private key. Give two files in PEM."
        ) from error


def _check_readable(file: Path, what: str) -> None:
    try:
        with file.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise ConfigError(
            f"The file with the {what} cannot be read: {file}: {error.strerror or error}."
        ) from error

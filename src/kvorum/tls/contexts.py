"""How TLS is spoken: versions, ciphers, and what is left out of the protocol on purpose.

    to clients       TLS 1.2 and 1.3; a certificate is asked for and not needed
    between nodes    TLS 1.3 only; both sides show a certificate

TLS 1.2 is allowed with ephemeral keys and authenticated ciphers only (RFC 9325, section 4.2). There
are no tickets, and in TLS 1.3 nothing is resumed. In TLS 1.2 OpenSSL resumes sessions that it keeps
in memory, and Python has no switch for that; so name, time and revocation of a certificate are
looked at in each handshake (`verified_certificate.py`). There is no compression (CRIME), and no
renegotiation.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from kvorum.model.errors import ConfigError

_CIPHERS_OF_1_2: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


def client_facing() -> ssl.SSLContext:
    """For the connections that clients make to a node. It has no certificates yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    return _hardened(context)


def accepting() -> ssl.SSLContext:
    """For the connections that nodes make to a node."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    return _hardened(context)


def dialing() -> ssl.SSLContext:
    """For the connections that a node makes to nodes. These are known by the names that are
    certified, and not by their hosts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return _hardened(context)


def calling() -> ssl.SSLContext:
    """For the connections that a client makes: the host is compared with the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return _hardened(context)


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(_CIPHERS_OF_1_2)
    if context.protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    return context


def trust(context: ssl.SSLContext, authorities: Path) -> None:
    """Have `context` trust the authorities in that file. Raises ConfigError."""
    try:
        context.load_verify_locations(authorities)
    except OSError as error:  # those of OpenSSL are such, too
        raise ConfigError(
            f"The file {authorities} is of no use as the certificate of an authority: "
            f"{_reason(error)}. Name the ca.crt of the cluster."
        ) from error


def show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Have `context` show that certificate. Raises ConfigError."""
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The certificate {certificate} and the key {key} are of no use together: "
            f"{_reason(error)}. Copy both from the directory where they were issued, or issue "
            "them again with `kvorum certs issue`."
        ) from error


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(getattr(error, "strerror", None) or "it is no PEM").lower()


def _no_password() -> str:
    """OpenSSL would ask at the terminal for the password of an encrypted key."""
    return ""

"""Why TLS was not agreed upon with a server, as whoever runs the client can use it.

A server whose certificate is not trusted, or that does not speak TLS where the client does, is
asked no second time within a call: that would not change it.
"""

from __future__ import annotations

import ssl
from typing import Final

from kvorum.client.security import SECURE_SCHEME, Security
from kvorum.model.errors import ConnectionFailed
from kvorum.tls.strangers import USE_HTTPS

# As OpenSSL numbers what it finds in certificates: x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_OTHER_NAMES: Final = {62, 64}
_NO_AUTHORITY: Final = {2, 7, 18, 19, 20, 21, 24}
_WRONG_PURPOSE: Final = 26

_NO_TLS: Final = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
NEVER_SPOKE: Final = {
    False: f" Is this a kvorum HTTP port? If it is one with TLS, write {SECURE_SCHEME}.",
    True: " Is this a kvorum HTTP port, and does it ask clients for no certificate?",
}
"""What to ask about a server that closes without a word; by whether TLS was spoken."""

_ALERT: Final = b"\x15\x03"
"""How an alert of TLS begins (RFC 8446, section 5.1): the type of the record, and its version."""


class TlsError(ConnectionFailed):
    """The certificate of the server is not trusted, or server and client do not agree on TLS."""

    code = "tls"


def refused(server: str, security: Security, error: ssl.SSLError) -> TlsError:
    """Why there is no TLS with `server`, which `error` ended."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsError(_untrusted(server, security, error))
    reason = error.reason or ""
    if reason in _NO_TLS:
        return TlsError(
            f"{server} does not speak TLS. Ask its HTTP port, or write kvorum:// if the cluster "
            "is one without TLS."
        )
    if "ALERT" in reason:
        return refused_client(server, security, error)
    return TlsError(f"TLS with {server} failed: {_plainly(reason or str(error))}.")


def refused_client(server: str, security: Security, error: ssl.SSLError) -> TlsError:
    """The server has ended TLS, most often because of the client's certificate."""
    said = _plainly((error.reason or str(error)).partition("ALERT_")[2] or str(error.reason))
    if security.cert is None:
        advice = "If it asks for a certificate of the client, give cert and key."
    else:
        advice = f"Look whether the certificate in {security.cert} is of its cluster and in time."
    return TlsError(f"{server} ended TLS and said: {said}. {advice}")


def wants_tls(server: str) -> TlsError:
    """`server` speaks TLS, and was not asked by it."""
    return TlsError(f"{server} wants TLS. Write {SECURE_SCHEME} in front of the servers.")


def is_alert(data: bytes) -> bool:
    """True if what a server answered without TLS is an alert of TLS."""
    return data.startswith(_ALERT)


def says_so(body: bytes) -> bool:
    """True if that is how a node answers a request without TLS at a port with TLS."""
    return body == USE_HTTPS


def _untrusted(server: str, security: Security, error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return (
            f"The certificate of {server}, or of its authority, has expired. Have it renewed, or "
            "set the clock of this machine right."
        )
    if code == _NOT_YET_VALID:
        return (
            f"The certificate of {server} is not valid yet. Set the clock of this machine right, "
            "or that of the one where it was issued."
        )
    if code in _OTHER_NAMES:
        host = server.rpartition(":")[0]
        return (
            f"The certificate of {server} is for other hosts than {host}. Ask it by a name or "
            "address that its certificate has, or have one issued for this."
        )
    if code in _NO_AUTHORITY and security.ca is None:
        return (
            f"The certificate of {server} is of no authority that this system trusts. Give the "
            "cluster's authority as ca, the file ca.crt."
        )
    if code in _NO_AUTHORITY:
        return (
            f"The certificate of {server} is of none of the authorities in {security.ca}. Give the "
            "ca.crt of the cluster that you mean."
        )
    if code == _WRONG_PURPOSE:
        return f"The certificate of {server} is none of a server. Have one issued for the node."
    return f"The certificate of {server} is not trusted: {error.verify_message}."


def _plainly(reason: str) -> str:
    """A reason of OpenSSL, written as words."""
    return reason.replace("_", " ").lower()

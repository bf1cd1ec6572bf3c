"""What goes wrong with a TLS connection, as a sentence that says what to do."""

from __future__ import annotations

import ssl
from typing import Final

_OTHER_AUTHORITY: Final = (
    "The certificate of the other side is of another authority than this side trusts. Give both "
    "the same ca.crt."
)
_BY_VERIFICATION: Final = {
    9: (
        "The certificate of the other side is not valid yet. Correct the clocks of the two "
        "machines, or wait until it is."
    ),
    10: "The certificate of the other side has expired. Issue a new one.",
    7: _OTHER_AUTHORITY,
    18: _OTHER_AUTHORITY,
    19: _OTHER_AUTHORITY,
    20: _OTHER_AUTHORITY,
    21: _OTHER_AUTHORITY,
    26: (
        "The certificate of the other side is not for what it does: a client's certificate is no "
        "server's. Issue one for a node."
    ),
    62: (
        "The certificate of the other side is not for the host that was asked for. Connect to a "
        "host that is named in it, or issue one that names this host."
    ),
    64: (
        "The certificate of the other side is not for the address that was asked for. Connect to "
        "an address that is named in it, or issue one that names this address."
    ),
}
_BY_REASON: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "The other side has shown no certificate, and needs one. Start it with one of this "
        "cluster's."
    ),
    "UNSUPPORTED_PROTOCOL": (
        "The other side speaks an older version of TLS than is allowed here. Use TLS 1.3."
    ),
    "NO_SHARED_CIPHER": (
        "The other side has no cipher in common with this one. Use TLS 1.3, or 1.2 with AES-GCM."
    ),
    "WRONG_VERSION_NUMBER": (
        "The other side does not speak TLS. Start it with certificates, or speak plain HTTP to it."
    ),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": (
        "The other side says that the certificate of this side has expired. Issue a new one, and "
        "look at the clocks of both machines."
    ),
    "TLSV1_ALERT_UNKNOWN_CA": (
        "The other side does not trust the authority of this side's certificate. Give both the "
        "same ca.crt."
    ),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": (
        "The other side wants a certificate. Give one of the cluster's to this side."
    ),
    "TLSV1_ALERT_PROTOCOL_VERSION": (
        "The other side allows no version of TLS that this side speaks. Use TLS 1.3."
    ),
}


class TlsFault(OSError):
    """A TLS connection cannot be made, or cannot go on. Its text is a sentence for people."""


def fault(error: ssl.SSLError) -> TlsFault:
    """`error` of OpenSSL in plain words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = _BY_VERIFICATION.get(error.verify_code)
        return TlsFault(said or f"The certificate is refused: {error.verify_message}.")
    reason = error.reason or "unknown"
    plain = reason.replace("_", " ").lower()
    return TlsFault(_BY_REASON.get(reason, f"The TLS connection has failed: {plain}."))

"""Whom a certificate names that the other side has shown, and whether that side may come.

OpenSSL has verified by then that an authority of this cluster has issued the certificate, that it
is valid now, and that it is for what the other side does, a server or a client. What is left is
the name: its cluster, whether it is a node or a client, and whether it was revoked.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any

from kvorum.model.certified_name import CertifiedName, parse_certified_name
from kvorum.model.errors import ConfigError
from kvorum.tls.faults import TlsFault


def name_in(certificate: dict[str, Any]) -> CertifiedName:
    """The name in `certificate`, as `ssl` describes one. Raises TlsFault if it has none."""
    uris = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    serial = str(certificate.get("serialNumber", "")).lower().lstrip("0")
    if len(uris) != 1:
        raise TlsFault("The certificate of the other side names no node and no client.")
    _check_time(certificate)
    try:
        return parse_certified_name(uris[0], serial)
    except ConfigError as error:
        raise TlsFault(error.message) from error


def _check_time(certificate: dict[str, Any]) -> None:
    """OpenSSL does so too, but not where a connection resumes an earlier one."""
    if time.time() > ssl.cert_time_to_seconds(certificate["notAfter"]):
        raise TlsFault("The certificate of the other side has expired. Issue a new one.")


def check_name(
    name: CertifiedName, cluster: str, is_revoked: Callable[[str], bool], *, nodes_only: bool
) -> None:
    """Raises TlsFault if `name` may not come to a node of `cluster`."""
    if name.cluster != cluster:
        raise TlsFault(
            f"The certificate {name.uri} is of another cluster than {cluster!r}. Use one that was "
            "issued for this cluster."
        )
    if nodes_only and name.kind != "node":
        raise TlsFault(
            f"The certificate {name.uri} is a client's, and only nodes may connect here. Use the "
            "certificate of a node."
        )
    if is_revoked(name.serial):
        raise TlsFault(
            f"The certificate {name.uri} with the serial number {name.serial} was revoked. Issue "
            "a new one."
        )

"""TLS of a client: whom it trusts, and what it shows."""

from __future__ import annotations

import ssl
from pathlib import Path

from kvorum.model.errors import ConfigError
from kvorum.tls.contexts import calling, show, trust


def client_context(
    ca: Path | None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """The context for connections to nodes: TLS 1.2 or later, and the node's certificate must be
    for the host that is asked for.

    `ca`: the authorities that are trusted; None for those of the system. `certificate` and `key`:
    what this client shows, if anything. Raises ConfigError, naming the file and what to do.
    """
    context = calling()
    if (certificate is None) != (key is None):
        given, other = ("certificate", "key") if key is None else ("key", "certificate")
        raise ConfigError(
            f"A client has the {given} {certificate or key} and no {other}. Name both files, or "
            "neither."
        )
    if ca is None:
        context.load_default_certs()
    else:
        trust(context, ca)
    if certificate is not None and key is not None:
        show(context, certificate, key)
    return context

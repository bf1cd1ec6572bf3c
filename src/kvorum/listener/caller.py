"""The caller: what a connection shows of who is at its other end, before any request says more."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from kvorum.model.certified_name import CERTIFIED_NAME, CertifiedName


class Caller(NamedTuple):
    """Who is at the other end of a connection.

    `source`: the IP address. `certified`: whom the certificate names that the other end has shown;
    None without one.
    """

    source: str
    certified: CertifiedName | None


def caller_of(transport: asyncio.BaseTransport) -> Caller:
    """Whoever is at the other end of `transport`."""
    address = transport.get_extra_info("peername")
    source = str(address[0]) if isinstance(address, tuple) else ""
    return Caller(source, transport.get_extra_info(CERTIFIED_NAME))

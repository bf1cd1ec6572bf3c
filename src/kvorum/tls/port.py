"""What the TLS connections of one port have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kvorum.model.certified_name import CertifiedName
from kvorum.tls.handshakes import Handshakes
from kvorum.tls.stream import TlsStream


class TlsEnd(Protocol):
    """Makes streams with the certificates of now, and judges those of the other sides."""

    dials: bool
    """True if this side connects to the other, and speaks first."""

    def stream(self) -> TlsStream:
        """For a new connection."""

    def certified(self, stream: TlsStream) -> CertifiedName | None:
        """Whom the other side's certificate names; None without one. `stream` is open. Raises
        TlsFault if the other side is refused."""


def no_answer(_data: bytes) -> bytes:
    """Nothing is said to those who speak no TLS."""
    return b""


@dataclass(frozen=True, slots=True)
class TlsPort:
    """`failed`: called once for each connection whose handshake fails, with the transport under it
    and why. `answer_plain`: what to answer to the first bytes of somebody who speaks no TLS.
    """

    end: TlsEnd
    handshakes: Handshakes
    failed: Callable[[asyncio.BaseTransport, OSError], object]
    answer_plain: Callable[[bytes], bytes] = no_answer

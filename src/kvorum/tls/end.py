"""The port to what a node's end of its TLS connections is: the certificates, and who may come."""

from __future__ import annotations

from typing import Protocol

from kvorum.model.certified_name import CertifiedName
from kvorum.tls.stream import TlsStream


class TlsEnd(Protocol):
    """Makes streams with the certificates of now, and judges those of the other sides."""

    def stream(self) -> TlsStream:
        """For a new connection."""

    def certified(self, stream: TlsStream) -> CertifiedName | None:
        """Whom the other side's certificate names; None without one. `stream` is open. Raises
        TlsFault if the other side is refused."""

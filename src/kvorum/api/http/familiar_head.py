"""The familiar head: what followed the target in the last request that was nothing but a head.

A client says the same head again and again, but for the target. So the next request that ends with
the same bytes, and has only plain characters before them, means the same and is not parsed.
"""

from __future__ import annotations

from typing import Final

from kvorum.api.http.exchange import Exchange, Fields

_GET: Final = b"GET "
_PLAIN: Final = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%!$&'()*+,;=:@/?"
)
"""What a target is made of (RFC 3986), and nothing that could end it."""


class FamiliarHead:
    """The rest of a head behind its target, and what it means; `tail` is empty before there was
    one.
    """

    __slots__ = ("_url_bytes", "fields", "kind", "tail")

    def __init__(self, url_bytes: int) -> None:
        """Longer targets are not familiar."""
        self._url_bytes = url_bytes
        self.tail = b""
        self.fields: Fields = {}
        self.kind: type[Exchange] = Exchange

    def target(self, piece: bytes) -> bytes:
        """That of the request that `piece` is, if it is known what this means; else nothing."""
        tail = self.tail
        if not piece.endswith(tail) or not piece.startswith(b"GET /"):
            return b""
        target = piece[len(_GET) : -len(tail)]
        plain = not target.translate(None, _PLAIN) and len(target) <= self._url_bytes
        return target if plain else b""

    def remember(self, head: bytes, target: bytes, fields: Fields, kind: type[Exchange]) -> None:
        """One request, which has been read and asks for nothing special, is `head`."""
        start = _GET + target
        if head.startswith(start):
            self.tail, self.fields, self.kind = head[len(start) :], fields, kind

"""Keys and stored records of this node:

    GET  /keys               the data keys: state, age, how many records each has sealed
    POST /keys/rotate        {"namespace": string?}   new keys, for all namespaces if none is named
    POST /namespaces/shred   {"namespace": string, "before_ms": int?}   destroy its keys
    GET  /scrub              how far the walk over stored records is, what is damaged
    POST /scrub              begin it now

Each node has keys of its own and is asked by itself. What has to be done to the records goes
on after the answer, 202.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from kvorum.api.entry_body import decode_object
from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import checked_namespace, parse_query

KEYS_BODY_BYTES: Final = 4 << 10

_NO_QUERY: Final[frozenset[str]] = frozenset()
_ACCEPTED: Final = 202

_encode: Final = msgspec.json.Encoder().encode


class Custody(Protocol):
    """The keys and stored records of a node. Documents that msgspec can encode."""

    def keys(self) -> Any: ...

    def rotate(self, namespace: str | None, /) -> Any:
        """Raises NamespaceNotFound."""

    def shred(self, namespace: str, before_ms: int | None, /) -> Any:
        """Raises NamespaceNotFound or RequestError."""

    def status(self) -> Any: ...

    def scrub(self) -> Any: ...


class RotateBody(msgspec.Struct, forbid_unknown_fields=True):
    namespace: str | None = None


class ShredBody(msgspec.Struct, forbid_unknown_fields=True):
    namespace: str
    before_ms: int | None = None


_rotate_body: Final = msgspec.json.Decoder(RotateBody)
_shred_body: Final = msgspec.json.Decoder(ShredBody)


class KeyHandlers:
    __slots__ = ("_custody",)

    def __init__(self, custody: Custody) -> None:
        self._custody = custody

    def keys(self, exchange: Exchange) -> None:
        parse_query(exchange.query, _NO_QUERY)
        exchange.respond(200, _encode(self._custody.keys()))

    def rotate(self, exchange: Exchange) -> None:
        parse_query(exchange.query, _NO_QUERY)
        namespace = decode_object(_rotate_body, exchange.body or b"{}").namespace
        if namespace is not None:
            checked_namespace(namespace)
        exchange.respond(_ACCEPTED, _encode(self._custody.rotate(namespace)))

    def shred(self, exchange: Exchange) -> None:
        parse_query(exchange.query, _NO_QUERY)
        body = decode_object(_shred_body, exchange.body or b"{}")
        checked_namespace(body.namespace)
        exchange.respond(_ACCEPTED, _encode(self._custody.shred(body.namespace, body.before_ms)))

    def progress(self, exchange: Exchange) -> None:
        parse_query(exchange.query, _NO_QUERY)
        exchange.respond(200, _encode(self._custody.status()))

    def scrub(self, exchange: Exchange) -> None:
        parse_query(exchange.query, _NO_QUERY)
        exchange.respond(_ACCEPTED, _encode(self._custody.scrub()))

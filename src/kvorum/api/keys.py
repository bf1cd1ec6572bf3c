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

from typing import Final

import msgspec

from kvorum.api.entry_body import decode_object
from kvorum.api.http.exchange import Exchange
from kvorum.api.node_answers import ACCEPTED, answer, refuse_parameters
from kvorum.api.parameters import checked_namespace
from kvorum.service.administration import Administration

KEYS_BODY_BYTES: Final = 4 << 10


class RotateBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /keys/rotate."""

    namespace: str | None = None


class ShredBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /namespaces/shred."""

    namespace: str
    before_ms: int | None = None


_rotate_body: Final = msgspec.json.Decoder(RotateBody)
_shred_body: Final = msgspec.json.Decoder(ShredBody)


class KeyHandlers:
    """The handlers of changes of data keys."""

    def __init__(self, node: Administration) -> None:
        self._node = node

    def rotate(self, exchange: Exchange) -> None:
        """POST /keys/rotate"""
        refuse_parameters(exchange)
        namespace = decode_object(_rotate_body, exchange.body or b"{}").namespace
        if namespace is not None:
            checked_namespace(namespace)
        answer(exchange, self._node.rotate_keys(exchange.principal, namespace), ACCEPTED)

    def shred(self, exchange: Exchange) -> None:
        """POST /namespaces/shred"""
        refuse_parameters(exchange)
        body = decode_object(_shred_body, exchange.body or b"{}")
        checked_namespace(body.namespace)
        shredded = self._node.shred(exchange.principal, body.namespace, body.before_ms)
        answer(exchange, shredded, ACCEPTED)

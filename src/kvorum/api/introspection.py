"""What the node tells of itself: GET /status, GET /ring, GET /locate/{key} or /locate?key=; and
what it is told of its clock: POST /clock/accept.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import key_of, parse_query
from kvorum.api.pending import Pending
from kvorum.service.administration import Administration
from kvorum.service.version_string import subject_of

LOCATE_PATH: Final = b"/locate/"

_NO_QUERY: Final[frozenset[str]] = frozenset()
_LOCATE_QUERY: Final = frozenset({"key", "namespace"})

_encode: Final = msgspec.json.Encoder().encode


class IntrospectionHandlers:
    __slots__ = ("_gateway", "_node")

    def __init__(self, node: Administration, gateway: Gateway) -> None:
        self._node = node
        self._gateway = gateway

    def status(self, exchange: Exchange) -> None:
        parse_query(exchange.query, _NO_QUERY)
        exchange.respond(200, _encode(self._node.status(exchange.principal)))

    def ring(self, exchange: Exchange) -> None:
        parse_query(exchange.query, _NO_QUERY)
        exchange.respond(200, _encode(self._node.ring(exchange.principal)))

    def accept_clock(self, exchange: Exchange) -> None:
        parse_query(exchange.query, _NO_QUERY)
        exchange.respond(200, _encode(self._node.accept_clock(exchange.principal)))

    def locate(self, exchange: Exchange) -> None:
        options = parse_query(exchange.query, _LOCATE_QUERY)
        space, key = options.namespace, key_of(exchange.path[len(LOCATE_PATH) :], options)
        pending = _Location(exchange, self._gateway, subject_of(space, key))
        self._node.locate(exchange.principal, space, key, pending)


class _Location(Pending[Any]):
    __slots__ = ()

    def answer(self, result: Any) -> None:
        self._exchange.respond(200, _encode(result))

"""Where a key lives, and which of its replicas has what: GET /locate/{key} or /locate?key=."""

from __future__ import annotations

from typing import Final

from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.node_answers import answer
from kvorum.api.parameters import key_of, parse_query
from kvorum.api.pending import Pending
from kvorum.documents.location import Location
from kvorum.service.administration import Administration
from kvorum.service.version_string import subject_of

LOCATE_PATH: Final = b"/locate/"

_QUERY: Final = frozenset({"key", "namespace"})


class LocateHandler:
    """The handler of locations."""

    def __init__(self, node: Administration, gateway: Gateway) -> None:
        self._node = node
        self._gateway = gateway

    def locate(self, exchange: Exchange) -> None:
        """GET /locate/{key}"""
        options = parse_query(exchange.query, _QUERY)
        space, key = options.namespace, key_of(exchange.path[len(LOCATE_PATH) :], options)
        pending = _Located(exchange, self._gateway, subject_of(space, key))
        self._node.locate(exchange.principal, space, key, pending)


class _Located(Pending[Location]):
    __slots__ = ()

    def answer(self, result: Location) -> None:
        answer(self._exchange, result)

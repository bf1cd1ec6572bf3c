"""GET /health and GET /ready: 200 where all is well, else 503, and the reasons in both."""

from __future__ import annotations

from typing import Final

from kvorum.api.http.exchange import Exchange
from kvorum.api.node_answers import answer, refuse_parameters
from kvorum.service.administration import Administration

_OK: Final = 200
_UNAVAILABLE: Final = 503


class HealthHandlers:
    """Answers whether a node works, and whether it should be sent requests."""

    def __init__(self, node: Administration) -> None:
        self._node = node

    def health(self, exchange: Exchange) -> None:
        """GET /health"""
        refuse_parameters(exchange)
        health = self._node.health(exchange.principal)
        answer(exchange, health, _OK if health.healthy else _UNAVAILABLE)

    def ready(self, exchange: Exchange) -> None:
        """GET /ready"""
        refuse_parameters(exchange)
        readiness = self._node.readiness(exchange.principal)
        answer(exchange, readiness, _OK if readiness.ready else _UNAVAILABLE)

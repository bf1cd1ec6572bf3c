"""GET /metrics: the metrics of the node, as text in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.api.http.exchange import Exchange
from kvorum.api.node_answers import refuse_parameters
from kvorum.model.errors import Overloaded
from kvorum.service.principal import Principal

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
"""Of the text format: https://prometheus.io/docs/instrumenting/exposition_formats"""


def telling_metrics(
    tell: Callable[[Principal, Callable[[bytes | None], object]], object],
) -> Callable[[Exchange], None]:
    """A handler that takes no parameters; `tell` calls back with the text."""

    def handle(exchange: Exchange) -> None:
        refuse_parameters(exchange)
        tell(exchange.principal, lambda text: _answer(exchange, text))

    return handle


def _answer(exchange: Exchange, text: bytes | None) -> None:
    """`text` is None if making it failed."""
    if text is None:
        exchange.fail()
        return
    try:
        exchange.respond(200, text, media_type=CONTENT_TYPE)
    except Overloaded as error:
        exchange.refuse(error)

"""What the node tells and is told of itself, as answers: JSON documents, without parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import parse_query
from kvorum.service.principal import Principal

ACCEPTED: Final = 202
"""What was asked for goes on after the answer."""

_NO_QUERY: Final[frozenset[str]] = frozenset()
_encode: Final = msgspec.json.Encoder().encode


def refuse_parameters(exchange: Exchange) -> None:
    """Raises RequestError if the query has any."""
    parse_query(exchange.query, _NO_QUERY)


def answer(exchange: Exchange, document: object, status: int = 200) -> None:
    """Answer with the JSON of `document`."""
    exchange.respond(status, _encode(document))


def telling(tell: Callable[[Principal], object], status: int = 200) -> Callable[[Exchange], None]:
    """A handler that takes no parameters, and answers with the document that `tell` returns."""

    def handle(exchange: Exchange) -> None:
        refuse_parameters(exchange)
        answer(exchange, tell(exchange.principal), status)

    return handle

"""An exchange that waits for the node."""

from __future__ import annotations

import logging
from typing import Generic, TypeVar

from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.http.refusals import InternalError
from kvorum.model.errors import KvorumError
from kvorum.model.request import Failure

_logger = logging.getLogger(__name__)

T = TypeVar("T")


class Pending(Generic[T]):
    """One place of the admission is its until `settle`, the callback to hand to the node."""

    __slots__ = ("_exchange", "_gateway", "_subject")

    def __init__(self, exchange: Exchange, gateway: Gateway, subject: bytes) -> None:
        """`subject` is what version strings in the answer are bound to. Raises Overloaded."""
        gateway.admission.enter()
        self._exchange = exchange
        self._gateway = gateway
        self._subject = subject

    def settle(self, result: T | Failure) -> None:
        self._gateway.admission.leave()
        exchange = self._exchange
        try:
            if isinstance(result, Failure):
                exchange.refuse(result.error())
            else:
                self._answer(exchange, result)
        except KvorumError as error:
            exchange.refuse(error)
        except Exception:
            _logger.exception("making an answer failed")
            exchange.refuse(InternalError())

    def _answer(self, exchange: Exchange, result: T) -> None:
        """Respond with `result`, or raise what is to be answered instead."""
        raise NotImplementedError

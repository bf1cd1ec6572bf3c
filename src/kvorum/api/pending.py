"""An exchange that waits for the node."""

from __future__ import annotations

import logging
from typing import Generic, TypeVar

from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.http.refusals import InternalError
from kvorum.model.errors import KvorumError
from kvorum.model.request import Failure, Listing

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


class PendingPage(Pending[Listing]):
    """A page of a listing. Room for it is set aside before it is read, as much as the last ones
    took: many may be on their way at a time, and their clients need not read them.
    """

    __slots__ = ("_set_aside",)

    def __init__(self, exchange: Exchange, gateway: Gateway, subject: bytes) -> None:
        """Raises Overloaded."""
        answers = exchange.answers
        self._set_aside = answers.part_bytes
        answers.check_room(self._set_aside)
        super().__init__(exchange, gateway, subject)
        answers.set_aside(self._set_aside)

    def settle(self, result: Listing | Failure) -> None:
        self._exchange.answers.give_back(self._set_aside)
        super().settle(result)

    def _respond(self, exchange: Exchange, body: bytes) -> None:
        exchange.answers.learn(len(body))
        exchange.respond(200, body)

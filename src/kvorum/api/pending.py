"""Replies of operations under way, which answer their exchanges."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.model.errors import KvorumError
from kvorum.model.request import Failure, Listing, Selection
from kvorum.service.principal import Principal
from kvorum.service.reply import Reply

T = TypeVar("T")
List = Callable[[Principal, Selection, Reply[Listing]], None]
"""`scan` or `export` of the service."""


class Pending(Reply[T]):
    """Answers an exchange with the result of its operation."""

    __slots__ = ("_exchange", "_gateway", "_subject")

    def __init__(self, exchange: Exchange, gateway: Gateway, subject: bytes) -> None:
        """`subject` is what version strings in the answer are bound to."""
        self._exchange = exchange
        self._gateway = gateway
        self._subject = subject

    def refuse(self, error: KvorumError) -> None:
        self._exchange.refuse(error)

    def fail(self) -> None:
        self._exchange.fail()


class PendingPage(Pending[Listing]):
    """A page of a listing. Room for it is set aside before it is read, as much as the last ones
    took: many may be on their way at a time, and their clients need not read them.
    """

    __slots__ = ("_set_aside",)

    def __init__(self, exchange: Exchange, gateway: Gateway, subject: bytes) -> None:
        """Raises Overloaded where there is no room."""
        answers = exchange.answers
        self._set_aside = answers.part_bytes
        answers.check_room(self._set_aside)
        super().__init__(exchange, gateway, subject)

    @classmethod
    def begin(
        cls, exchange: Exchange, gateway: Gateway, list_entries: List, selection: Selection
    ) -> None:
        """Answer `exchange` with a page of `selection`."""
        page = cls(exchange, gateway, selection.namespace.encode())
        list_entries(exchange.principal, selection, page)
        exchange.answers.set_aside(page._set_aside)

    def settle(self, result: Listing | Failure) -> None:
        self._exchange.answers.give_back(self._set_aside)
        super().settle(result)

    def _respond(self, body: bytes) -> None:
        self._exchange.answers.learn(len(body))
        self._exchange.respond(200, body)

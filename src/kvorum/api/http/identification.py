"""Identification: who makes the requests of one connection, by their Authorization field.

A client shows the same in each request. So what was shown last is kept, and whoever shows it again
is the same principal as long as that is valid: a comparison, without a hash.

While a password is being verified, requests wait for it in their places: those of the same
connection behind them, none of another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from kvorum.api.http.exchange import Exchange
from kvorum.listener.face import Line
from kvorum.model.errors import KvorumError
from kvorum.service.access import unidentified
from kvorum.service.authentication import Authenticator, Verification
from kvorum.service.principal import Principal

_logger: Final = logging.getLogger(__name__)

Handle = Callable[[Exchange], None]


class Identification:
    """The principal of one connection, and what it was known by."""

    __slots__ = ("_authenticator", "_closed", "_line", "_shown", "_verification", "principal")

    def __init__(self, authenticator: Authenticator, line: Line) -> None:
        self._authenticator = authenticator
        self._line = line
        self._shown: bytes | None = None
        self._verification: Verification | None = None
        self._closed = False
        self.principal: Principal = authenticator.stranger
        """The one of the last request; not valid while its password is being verified."""

    def identify(self, authorization: bytes | None) -> Principal:
        """Who shows this; not valid if nothing is shown, or a password is to be verified.

        Raises what `Authenticator.identify` does.
        """
        if authorization == self._shown and (self.principal.valid or self._verification):
            return self.principal
        self._forget()
        found = self._authenticator.identify(authorization, self._line.caller)
        self._shown = authorization
        if isinstance(found, Verification):
            self._verification = found
            found.then(lambda result: self._verified(found, result))
        else:
            self.principal = found
        return self.principal

    def check_shown(self, principal: Principal) -> None:
        """Raises Unauthenticated if `principal` has shown nothing: no body is read from it."""
        if self._verification is None:
            raise unidentified(principal)

    def guarded(self, exchange: Exchange, handle: Handle) -> Handle:
        """`handle` behind what the request has to wait for, and what it must not exceed."""
        verification = self._verification
        if verification is not None and not exchange.principal.valid:
            return _waiting(verification, handle)
        return within_allowance(handle)

    def close(self) -> None:
        """The connection has ended."""
        self._closed = True
        self._forget()

    def _verified(self, verification: Verification, result: Principal | KvorumError) -> None:
        if isinstance(result, Principal) and (
            self._closed or self._verification is not verification
        ):
            self._authenticator.leave(result)
        elif self._verification is verification:
            self._verification = None
            if isinstance(result, Principal):
                self.principal = result

    def _forget(self) -> None:
        self._authenticator.leave(self.principal)
        self.principal = self._authenticator.stranger
        self._shown = self._verification = None


def within_allowance(handle: Handle) -> Handle:
    """`handle`, for requests that the principal may still make."""

    def handle_within(exchange: Exchange) -> None:
        allowance = exchange.principal.allowance
        if allowance is not None:
            allowance.admit(exchange.size)
        handle(exchange)

    return handle_within


def _waiting(verification: Verification, handle: Handle) -> Handle:
    """`handle`, once `verification` has ended well."""
    result: list[Principal | KvorumError] = []
    # Asked now: by the time that the request has its turn it may have ended.
    verification.then(result.append)
    within = within_allowance(handle)

    def proceed(exchange: Exchange, found: Principal | KvorumError) -> None:
        if isinstance(found, KvorumError):
            exchange.refuse(found)
            return
        exchange.principal = found
        try:
            within(exchange)
        except KvorumError as error:
            exchange.refuse(error)
        except Exception:
            _logger.exception("handling a request failed")
            exchange.fail()

    def wait(exchange: Exchange) -> None:
        if result:
            proceed(exchange, result[0])
        else:
            verification.then(lambda found: proceed(exchange, found))

    return wait

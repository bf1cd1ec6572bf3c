"""Authentication: who makes the requests of a connection.

    face ── Authorization, caller ──> authenticator ──> Principal, or Verification
                                                        of a password, which takes its time

A face asks once for what a connection shows, and again when it shows something else, or when its
principal is not `valid` any more; it tells when the principal has left. So a request that shows
the same as the one before costs a comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from kvorum.model.certified_name import CertifiedName
from kvorum.model.errors import KvorumError
from kvorum.service.principal import ANONYMOUS, Principal


class Caller(Protocol):
    """What a connection shows by itself: its IP address, and the name in a certificate."""

    @property
    def source(self) -> str: ...

    @property
    def certified(self) -> CertifiedName | None: ...


class Verification:
    """The password of a request, which is being verified. The result comes once, later."""

    __slots__ = ("_hear",)

    def __init__(self) -> None:
        self._hear: list[Callable[[Principal | KvorumError], object]] = []

    def then(self, hear: Callable[[Principal | KvorumError], object]) -> None:
        """`hear` the principal, or why there is none; in the order of asking."""
        self._hear.append(hear)

    def end(self, result: Principal | KvorumError) -> None:
        """Tell all who wait."""
        hear, self._hear = self._hear, []
        for tell in hear:
            tell(result)


class Authenticator(Protocol):
    """Says who somebody is."""

    @property
    def stranger(self) -> Principal:
        """Who a connection is that was not asked about yet."""

    def identify(self, authorization: bytes | None, caller: Caller, /) -> Principal | Verification:
        """Who shows this; one that is not valid if nothing is shown.

        Raises Unauthenticated if it is wrong, TooManyAttempts, TooManyRequests if there may be no
        more connections of that principal, and Overloaded.
        """

    def leave(self, principal: Principal, /) -> None:
        """The connection has ended, or shows something else."""


class OpenAuthenticator:
    """The authenticator of a cluster that asks nobody who he is."""

    stranger: Final = ANONYMOUS

    def identify(self, _authorization: bytes | None, _caller: Caller, /) -> Principal:
        return ANONYMOUS

    def leave(self, _principal: Principal, /) -> None: ...


OPEN_TO_ALL: Final = OpenAuthenticator()

"""What became of the attempts of one call, and which of it the caller is told.

What a server said is worth more than that another was silent, and why it could not serve is
worth more than that its time was up. If none said anything, each that was asked is named, with
the last it did.
"""

from __future__ import annotations

from typing import Final

from kvorum.client.handshake import TlsError
from kvorum.client.pool import IS_IT_RUNNING
from kvorum.client.server import Server
from kvorum.model.errors import ConnectionFailed, KvorumError, ProtocolError, TimeoutExpired

_MOST_TELLING_FIRST: Final = (ProtocolError, TimeoutExpired, TlsError, ConnectionFailed)


class Failures:
    """The failures of one call's attempts, none of which changed anything."""

    __slots__ = ("_met", "_said")

    def __init__(self) -> None:
        self._said: KvorumError | None = None
        self._met: dict[Server, KvorumError] = {}

    def said(self, error: KvorumError) -> None:
        """A server answered with `error`."""
        if self._said is None or not isinstance(error, TimeoutExpired):
            self._said = error

    def met(self, server: Server, error: KvorumError) -> None:
        """No answer came from `server`, because of `error`."""
        self._met[server] = error

    def most_telling(self) -> KvorumError:
        """What to raise."""
        if self._said is not None:
            return self._said
        errors = list(self._met.values())
        return errors[0] if len(errors) == 1 else _all(errors)


def _all(errors: list[KvorumError]) -> KvorumError:
    kind = next(
        kind for kind in _MOST_TELLING_FIRST if any(isinstance(error, kind) for error in errors)
    )
    reasons = " ".join(error.message.removesuffix(IS_IT_RUNNING) for error in errors)
    hint = " Are they running?" if kind is ConnectionFailed else ""
    return kind(f"None of {len(errors)} servers answered. {reasons}{hint}")

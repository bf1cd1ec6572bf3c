"""Lifetimes: what a client may ask for, and the moment at which a version expires.

A client gives a time to live in seconds, or the moment itself. Either way the coordinator of
the write turns it into an absolute time of its own wall clock (ms), once; the version carries
that, and all replicas go by it. So copies of a version expire together, however late they came
to a node, as far as the nodes' clocks agree.
"""

from __future__ import annotations

from typing import Final

from kvorum.model.errors import RequestError
from kvorum.model.topology import TTL_S_MAX

NEVER: Final = 0
"""As a time to live, and as the moment of expiry."""

EXPIRES_MS_MAX: Final = (1 << 53) - 1
"""JSON readers agree on integers up to here."""


def check_ttl(ttl: int | None) -> None:
    """Raises RequestError unless `ttl` is seconds, NEVER, or None (the namespace's default)."""
    if ttl is not None and not 0 <= ttl <= TTL_S_MAX:
        raise RequestError(
            f"A ttl is 1 to {TTL_S_MAX} seconds, and {_shown(ttl)} was given.",
            wanted=f"1..{TTL_S_MAX}",
            got=_shown(ttl),
        )


def check_expires(expires: int) -> None:
    """Raises RequestError if `expires` (ms) can be no moment at all; `expiry` checks the rest."""
    if not 0 < expires <= EXPIRES_MS_MAX:
        raise RequestError(
            f"expiresAt is a moment in milliseconds since 1970, and {_shown(expires)} was given.",
            got=_shown(expires),
        )


def is_given(ttl: int | None, expires: int, default_s: int) -> bool:
    """True if a version written with these arguments of `expiry` expires."""
    return bool(expires or (default_s if ttl is None else ttl))


def expiry(ttl: int | None, expires: int, default_s: int, now_ms: int) -> int:
    """The moment (ms) at which a version written at `now_ms` expires; NEVER if it does not.

    It is `expires`, unless that is NEVER; else it follows from `ttl`, or where that is None from
    the namespace's `default_s`. Raises RequestError.
    """
    if expires:
        if not now_ms < expires <= now_ms + TTL_S_MAX * 1000:
            raise RequestError(
                f"expiresAt {expires} is not within {TTL_S_MAX} seconds after now, which is "
                f"{now_ms}.",
                got=expires,
            )
        return expires
    check_ttl(ttl)
    seconds = default_s if ttl is None else ttl
    return now_ms + seconds * 1000 if seconds else NEVER


def _shown(number: int) -> str:
    """A number of a thousand digits helps nobody."""
    return str(number) if abs(number) <= EXPIRES_MS_MAX else "a number far beyond"

"""Lifetimes as requests say them: `ttl` and `expires` of a Put or Touch, from what clients give.

A client gives a time to live, a moment, "for ever", or nothing; then it is the namespace's default.
The coordinator turns it into a moment (`model/expiry.py`).
"""

from __future__ import annotations

from typing import Final

from kvorum.model.expiry import NEVER, check_expires, check_ttl

Lifetime = tuple[int | None, int]
"""`ttl` (seconds, NEVER, or None for the default) and `expires` (ms since 1970, or NEVER)."""

DEFAULT: Final[Lifetime] = (None, NEVER)
FOREVER: Final[Lifetime] = (NEVER, NEVER)


def lifetime(ttl: int | None, expires_at: int | None) -> Lifetime:
    """Of seconds or a moment in ms, of which at least one is None. Raises RequestError."""
    if expires_at is not None:
        check_expires(expires_at)
        return None, expires_at
    check_ttl(ttl)
    return ttl, NEVER

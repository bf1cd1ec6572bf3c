"""How long an entry is to live, as a Python program says it."""

from __future__ import annotations

from datetime import timedelta

from kvorum.model.errors import RequestError
from kvorum.model.expiry import check_expires, check_ttl

Ttl = int | timedelta
"""Seconds, 0 for ever; or a timedelta, which is rounded up to whole seconds."""


class WrongType(RequestError, TypeError):
    """An argument is of a type that means nothing here."""


def seconds_of(ttl: Ttl | None) -> int | None:
    """Raises WrongType if `ttl` is no time at all, RequestError if it is out of range."""
    if isinstance(ttl, timedelta):
        if ttl <= timedelta():
            raise RequestError(
                f"A ttl of {ttl!r} is over already. Give a longer one, or 0 for an entry that "
                "does not expire."
            )
        ttl = -(-ttl // timedelta(seconds=1))
    elif ttl is not None and (not isinstance(ttl, int) or isinstance(ttl, bool)):
        raise WrongType(
            f"A ttl is a number of whole seconds or a timedelta, and not {type(ttl).__name__} "
            f"({repr(ttl)[:40]})."
        )
    check_ttl(ttl)
    return ttl


def _checked_moment(expires_at: int) -> int:
    """Raises WrongType, or RequestError if it can be no moment."""
    if not isinstance(expires_at, int) or isinstance(expires_at, bool):
        raise WrongType(
            f"expires_at is a number of milliseconds since 1970, and not "
            f"{type(expires_at).__name__} ({repr(expires_at)[:40]})."
        )
    check_expires(expires_at)
    return expires_at


def checked_lifetime(ttl: Ttl | None, expires_at: int | None) -> tuple[int | None, int | None]:
    """(ttl in seconds, expires_at), one of them None. Raises WrongType, RequestError."""
    if ttl is not None and expires_at is not None:
        raise RequestError("Both ttl and expires_at are given. Give one of them.")
    return seconds_of(ttl), None if expires_at is None else _checked_moment(expires_at)

"""How long an entry is to live, as a Python program says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from kvorum.model.errors import RequestError
from kvorum.model.expiry import check_expires, check_ttl

Ttl = int | timedelta
"""Seconds, 0 for ever; or a timedelta, which is rounded up to whole seconds."""

Moment = int | datetime
"""Milliseconds since 1970; or a datetime with a time zone, which is cut to whole milliseconds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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


def _checked_moment(expires_at: Moment) -> int:
    """In ms since 1970. Raises WrongType, or RequestError if it can be no moment."""
    if isinstance(expires_at, datetime):
        if expires_at.utcoffset() is None:
            raise RequestError(
                f"The datetime {expires_at} has no time zone, so it may mean several moments. Give "
                "one that has, such as datetime.now(UTC) + timedelta(hours=1)."
            )
        expires_at = (expires_at - _EPOCH) // timedelta(milliseconds=1)
    elif not isinstance(expires_at, int) or isinstance(expires_at, bool):
        raise WrongType(
            f"expires_at is a number of milliseconds since 1970 or a datetime, and not "
            f"{type(expires_at).__name__} ({repr(expires_at)[:40]})."
        )
    check_expires(expires_at)
    return expires_at


def checked_lifetime(ttl: Ttl | None, expires_at: Moment | None) -> tuple[int | None, int | None]:
    """(ttl in seconds, expires_at in ms), one of them None. Raises WrongType, RequestError."""
    if ttl is not None and expires_at is not None:
        raise RequestError("Both ttl and expires_at are given. Give one of them.")
    return seconds_of(ttl), None if expires_at is None else _checked_moment(expires_at)


def checked_renewal(ttl: Ttl | None, expires_at: Moment | None) -> tuple[int | None, int | None]:
    """The same where one of them must be given, as for a touch. Raises WrongType, RequestError."""
    if ttl is None and expires_at is None:
        raise RequestError(
            "Neither ttl nor expires_at is given. Give one of them; ttl=0 is for ever."
        )
    return checked_lifetime(ttl, expires_at)

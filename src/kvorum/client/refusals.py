"""Refusals of what was asked about a key, in the terms of the client's arguments.

A server's words are for those who speak HTTP: they name header fields and members of bodies.
"""

from __future__ import annotations

from typing import Final

from kvorum.client.requests import ABSENT, Request
from kvorum.model.errors import InvalidVersion, KvorumError, NotFound, PreconditionFailed, from_code

_ADVICE: Final = {
    "invalid_key": "Use a key of 1 to 1024 bytes of UTF-8.",
    "invalid_value": "Store another value, as the message says.",
    "not_found": "Check the key and namespace=.",
    "too_many_siblings": "Read the entry, and write what resolves its siblings with the version= "
    "that the read returned.",
    "overloaded": "Wait, then repeat it.",
    "unauthenticated": "Give connect token= or token_file=, or user= and password=, or set the "
    "variable KVORUM_TOKEN.",
    "too_many_attempts": "Wait, then try again with the right credentials.",
    "too_many_requests": "Wait, then repeat it, or ask an administrator for a higher limit.",
    "access_denied": "Ask an administrator for a role that allows it.",
    "quorum_not_met": "If the outcome is unknown, read the entry before you repeat a write. Else "
    "retry later, or with a smaller r= or w= if weaker guarantees will do.",
}
"""By code, in place of a server's."""


def of_key(error: KvorumError, key: str) -> KvorumError:
    """`error`, which a server gave for `key`."""
    _advise(error)
    match error:
        case NotFound():
            return _saying(error, f"No such key: {key!r}.")
        case InvalidVersion():
            return _saying(
                error,
                f"The given version is not one of the key {key!r}. Give version= or if_version= as "
                "a read or a write of this key returned it.",
            )
    return error


def of_request(error: KvorumError, request: Request) -> KvorumError:
    """`error`, which a server gave for `request`."""
    if request.about is None:
        _advise(error)
        return error
    key = request.about.key
    match error:
        case PreconditionFailed() if request.condition == ABSENT:
            return _saying(
                error,
                f"The key {key!r} has a value already. Store it without if_absent=True to replace "
                "that, or leave it.",
            )
        case PreconditionFailed() if request.condition:
            return _saying(
                error,
                f"The key {key!r} is not at the version given as if_version=. Read it again, and "
                "decide anew.",
            )
        case NotFound() if not request.safe and not request.about.blind:
            return _saying(error, f"The key {key!r} holds nothing that the given version= covers.")
    return of_key(error, key)


def _advise(error: KvorumError) -> None:
    if "advice" in error.details:
        error.details["advice"] = _ADVICE.get(error.code, error.details["advice"])


def _saying(error: KvorumError, message: str) -> KvorumError:
    """The same error with another message, which says itself what to do."""
    details = dict(error.details)
    if not isinstance(error, NotFound):
        details.pop("advice", None)
    return from_code(error.code, message, error.outcome, details)

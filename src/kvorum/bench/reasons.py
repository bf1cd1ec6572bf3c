"""Why an operation failed, in few words: errors are counted under them, so they are few."""

from __future__ import annotations

import os
import ssl
from typing import Final, NamedTuple

import msgspec

from kvorum.model.errors import BY_CODE

TIMEOUT: Final = "timeout"


class Refusal(NamedTuple):
    """An answer that is no success."""

    reason: str
    outcome: str
    """As the server says: "unknown" if the operation may have taken effect."""


UNEXPECTED: Final = Refusal("unexpected answer", "")


class _Problem(msgspec.Struct):
    code: str = ""
    outcome: str = ""


_problem: Final = msgspec.json.Decoder(_Problem)


def of_answer(status: int, body: bytes) -> Refusal:
    """The reason is the status, and the code of the problem if it is known."""
    try:
        problem = _problem.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = _Problem()
    code = f" {problem.code}" if problem.code in BY_CODE else ""
    return Refusal(f"HTTP {status}{code}", problem.outcome)


def of_os_error(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return TIMEOUT
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or 'failed').replace('_', ' ').lower()}"
    # An error's own text may name ports and the like, and so be different every time.
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__

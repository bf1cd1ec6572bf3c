"""Why an operation failed, in few words: errors are counted under them, so they are few."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from kvorum.model.errors import BY_CODE

UNEXPECTED: Final = "unexpected answer"
TIMEOUT: Final = "timeout"


class _Problem(msgspec.Struct):
    code: str


_problem: Final = msgspec.json.Decoder(_Problem)


def of_answer(status: int, body: bytes) -> str:
    """The status of an answer that is no success, and the code of its problem if it is known."""
    try:
        code = _problem.decode(body).code
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"HTTP {status}"
    return f"HTTP {status} {code}" if code in BY_CODE else f"HTTP {status}"


def of_os_error(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return TIMEOUT
    # An error's own text may name ports and the like, and so be different every time.
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__

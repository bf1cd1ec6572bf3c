"""The cursors of an embedded store's listings, as text: hexadecimal digits of what the engine says.

There is nobody to forge one, so they are not sealed as a server's are.
"""

from __future__ import annotations

from kvorum.model.errors import RequestError


def read_cursor(text: str | None, start_after: str | None = None) -> bytes:
    """Where a page begins; b"" is the beginning. Raises RequestError for what is no cursor, and if
    `start_after` is given as well."""
    if text is None:
        return b""
    if start_after is not None:
        raise RequestError("Both cursor and start_after are given. Give one of them.")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise RequestError(
            f"{text[:80]!r} is no cursor of this store. Give one that a page returned."
        ) from error


def shown_cursor(cursor: bytes) -> str | None:
    """The same as text; None at the end of a listing."""
    return cursor.hex() or None

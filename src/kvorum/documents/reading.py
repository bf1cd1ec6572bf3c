"""Reading the documents of servers, whose version may differ: unknown members are ignored."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from kvorum.model.errors import ProtocolError

_T = TypeVar("_T")


def read(document: dict[str, Any], kind: type[_T]) -> _T:
    """The document as a value of `kind`. Raises ProtocolError if it is none."""
    try:
        return msgspec.convert(document, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise ProtocolError(
            f"The server's answer is not what this version of kvorum expects: {error}. "
            "Use the version of kvorum that the server runs."
        ) from error

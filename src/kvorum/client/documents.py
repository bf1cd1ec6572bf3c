"""Reading what servers answer about matters beyond entries, as values."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from kvorum.model.errors import ProtocolError

_T = TypeVar("_T")


def read(document: dict[str, Any], kind: type[_T], about: str) -> _T:
    """Raises ProtocolError if it is none about that."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(
            f"wanted an answer about {about}, got another: {error}; do all nodes run the same "
            "kvorum?"
        ) from error

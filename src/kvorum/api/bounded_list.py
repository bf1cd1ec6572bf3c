"""Lists of bounded length, as types for msgspec.

A length limit on a list is checked when the list has been built: a body of millions of zeros
would be millions of objects first. A struct that is an array of N optional items refuses the
item after the last at once.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import msgspec


def bounded_list(item: Any, most: int) -> type[msgspec.Struct]:
    """The type of an array of at most `most` items, none of them None."""
    fields = [(f"item_{i}", item, None) for i in range(most)]
    return msgspec.defstruct("BoundedList", fields, array_like=True, forbid_unknown_fields=True)


def items_of(found: msgspec.Struct) -> list[Any]:
    """The items of a bounded list."""
    return list(takewhile(lambda item: item is not None, msgspec.structs.astuple(found)))


def body_decoder(*members: tuple[Any, ...]) -> msgspec.json.Decoder[Any]:
    """Of an object with these members, each (name, type) or (name, type, default)."""
    return msgspec.json.Decoder(msgspec.defstruct("Body", members, forbid_unknown_fields=True))

"""Serializers: how values that JSON cannot hold become bytes, and how bytes become values again.

    "json"      none: bytes are stored as bytes, everything else as JSON
    "pickle"    the standard library's pickle
    "msgpack"   MessagePack
    own ones    an object with `dumps` and `loads`, or a pair of two such functions

With a serializer every value that is set is stored as the bytes that `dumps` makes of it, and every
value that is read and is bytes goes through `loads`. A value that is stored as JSON is read as JSON
whatever the serializer, so entries written before it was chosen stay readable. Bytes with a content
type (`TypedBytes`) say themselves what they are: they are stored and read as they are.

To unpickle is to execute: who can write to the store can run code in the programs that read it
with "pickle". So nothing is unpickled unless the program asks for it by name.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from kvorum.client.lifetime import WrongType
from kvorum.client.values import TypedBytes
from kvorum.model.errors import ConfigError, InvalidValue


class DumpsAndLoads(Protocol):
    """What an own serializer offers; modules such as `pickle` do, too."""

    def dumps(self, value: Any, /) -> bytes:
        """The value as bytes."""

    def loads(self, data: bytes, /) -> Any:
        """The value in these bytes."""


class Serializer(NamedTuple):
    """A pair of functions: values to bytes, and back."""

    dumps: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]

    def write(self, value: object) -> bytes:
        """The bytes to store. Raises InvalidValue if `dumps` fails, WrongType if it makes none."""
        try:
            data = self.dumps(value)
        except Exception as error:
            raise InvalidValue(
                f"The serializer cannot turn this value of type {type(value).__name__} into bytes "
                f"({type(error).__name__}: {error}). Store another value, or choose another "
                "serializer."
            ) from error
        if not isinstance(data, bytes | bytearray | memoryview):
            raise WrongType(
                f"The serializer's dumps returned {type(data).__name__}, which is not bytes. "
                "Have it return bytes."
            )
        return bytes(data)

    def read(self, data: bytes) -> Any:
        """The value in stored bytes. Raises InvalidValue if `loads` fails."""
        try:
            return self.loads(data)
        except Exception as error:
            raise InvalidValue(
                f"The serializer cannot read the {len(data)} stored bytes ({type(error).__name__}: "
                f"{error}). Read them with the serializer that wrote them, or with "
                "serializer='json' as plain bytes."
            ) from error


Serializing = str | DumpsAndLoads | tuple[Callable[[Any], bytes], Callable[[bytes], Any]]
"""A serializer as programs name it: "json", "pickle", "msgpack", or one of their own."""

_BY_NAME: Final[dict[str, Serializer | None]] = {
    "json": None,
    "pickle": Serializer(pickle.dumps, pickle.loads),
    "msgpack": Serializer(msgspec.msgpack.encode, msgspec.msgpack.decode),
}


def serializer_of(given: Serializing) -> Serializer | None:
    """The serializer that `given` names, None for JSON. Raises ConfigError or WrongType."""
    if isinstance(given, str):
        if given not in _BY_NAME:
            raise ConfigError(
                f"There is no serializer named {given!r}. Choose 'json', 'pickle' or 'msgpack', or "
                "give an object with dumps and loads."
            )
        return _BY_NAME[given]
    match given:
        case Serializer():
            return given
        case (dumps, loads) if callable(dumps) and callable(loads):
            return Serializer(dumps, loads)
    writer, reader = getattr(given, "dumps", None), getattr(given, "loads", None)
    if not (callable(writer) and callable(reader)):
        raise WrongType(
            "A serializer is 'json', 'pickle', 'msgpack', an object with dumps and loads, or a "
            f"pair of two functions, and not {type(given).__name__} ({repr(given)[:40]})."
        )
    return Serializer(writer, reader)


def packed(value: object, serializer: Serializer | None) -> object:
    """What is stored of `value`: with a serializer the bytes that it makes, except of bytes with a
    content type. Raises InvalidValue, WrongType."""
    if serializer is None or isinstance(value, TypedBytes):
        return value
    return serializer.write(value)

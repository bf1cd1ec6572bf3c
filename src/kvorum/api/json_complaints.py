"""What a JSON decoder complains of, in plain words.

msgspec speaks of its own types ("Expected `str`, got `int` - at `$.key`"), and may call a lone
surrogate the end of the text, since it looks for the other half behind it. What it says
seldom ("Number out of range") is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

_KINDS: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number that is not whole",
    "bool": "true or false",
    "null": "null",
    "array": "an array",
    "object": "an object",
}
_BEGINNINGS: Final = {b'"': "str", b"{": "object", b"[": "array", b"t": "bool", b"f": "bool"}

_PLACE: Final = r"(?: - at `\$\.?(?P<place>.+)`)?"
_WRONG_KIND: Final = re.compile(rf"Expected `(?P<kinds>[a-z |]+)`, got `(?P<given>[a-z]+)`{_PLACE}")
_MISSING: Final = re.compile(rf"Object missing required field `(?P<name>.+?)`{_PLACE}")
_UNKNOWN: Final = re.compile(rf"Object contains unknown field `(?P<name>.*?)`{_PLACE}", re.DOTALL)
_TOO_LONG: Final = re.compile(
    rf"Expected `array` of (?:at most length|length <=) (?P<most>\d+){_PLACE}"
)
_MALFORMED: Final = re.compile(r"JSON is malformed: (?P<what>.*) \(byte (?P<at>\d+)\)")

_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair of surrogates
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)

_NAME_CHARS_MAX: Final = 80
_METADATA: Final = frozenset({"ttl", "expiresAt", "encoding", "contentType", "valueVersion"})
"""What belongs into the metadata of an entry, and not beside them."""


def kind_of(text: bytes) -> str:
    """What sort of JSON the sound `text` is."""
    first = text[:1]
    if first == b"n":
        return _KINDS["null"]
    return _KINDS[_BEGINNINGS[first]] if first in _BEGINNINGS else "a number"


def unfit(error: msgspec.ValidationError) -> str:
    """Of JSON that is sound, but not what was asked for."""
    complaint = str(error)
    for pattern, say in _UNFIT:
        found = pattern.fullmatch(complaint)
        if found is not None:
            return say(found)
    return f"The JSON does not fit: {complaint.replace('`$.', '').replace('`', '')}."


def unsound(error: msgspec.DecodeError, text: bytes) -> str:
    """Of a `text` that is no JSON."""
    if not text:
        return "No JSON is given."
    halves = (escape["half"] for escape in _ESCAPE.finditer(text) if escape["half"])
    half = next(halves, None)
    if half is not None:
        return (
            f"Invalid JSON: the escape {half.decode()} is half of a surrogate pair, and its other "
            "half is missing."
        )
    found = _MALFORMED.fullmatch(str(error))
    if found is None:
        return "The JSON ends before it is complete."
    return f"Invalid JSON at byte {found['at']}: {found['what']}."


def _wrong_kind(found: re.Match[str]) -> str:
    kinds = " or ".join(_KINDS.get(kind, kind) for kind in found["kinds"].split(" | "))
    given = _KINDS.get(found["given"], found["given"])
    place = f"Field {found['place']!r}" if found["place"] else "The JSON"
    return f"{place} has to be {kinds}, not {given}."


def _missing(found: re.Match[str]) -> str:
    return f"Field {_path(found)!r} is missing."


def _unknown(found: re.Match[str]) -> str:
    name = _path(found)[:_NAME_CHARS_MAX]
    advice = ": put it into metadata" if name in _METADATA else ""
    return f"Unknown field {name!r}{advice}."


def _too_long(found: re.Match[str]) -> str:
    return f"There are more than {found['most']} items in {found['place'] or 'the list'}."


def _path(found: re.Match[str]) -> str:
    return f"{found['place']}.{found['name']}" if found["place"] else found["name"]


_UNFIT: Final[list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]] = [
    (_WRONG_KIND, _wrong_kind),
    (_MISSING, _missing),
    (_UNKNOWN, _unknown),
    (_TOO_LONG, _too_long),
]

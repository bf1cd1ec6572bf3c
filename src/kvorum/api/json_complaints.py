"""What a JSON decoder complains of, in plain words: what was wanted, and what was got.

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
_WRONG_KIND: Final = re.compile(rf"Expected `(?P<wanted>[a-z |]+)`, got `(?P<got>[a-z]+)`{_PLACE}")
_MISSING: Final = re.compile(rf"Object missing required field `(?P<name>.+?)`{_PLACE}")
_UNKNOWN: Final = re.compile(rf"Object contains unknown field `(?P<name>.*?)`{_PLACE}", re.DOTALL)
_TOO_LONG: Final = re.compile(rf"Expected `array` of at most length (?P<most>\d+){_PLACE}")
_MALFORMED: Final = re.compile(r"JSON is malformed: (?P<what>.*) \(byte (?P<at>\d+)\)")

_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair of surrogates
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)

_NAME_CHARS_MAX: Final = 80


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
    return f"wanted JSON that fits this call, got {complaint.replace('`$.', '').replace('`', '')}"


def unsound(error: msgspec.DecodeError, text: bytes) -> str:
    """Of a `text` that is no JSON."""
    if not text:
        return "wanted JSON, got nothing"
    halves = (escape["half"] for escape in _ESCAPE.finditer(text) if escape["half"])
    half = next(halves, None)
    if half is not None:
        return (
            f"wanted \\u escapes that spell characters, got {half.decode()}, half of a surrogate "
            "pair without its other half"
        )
    found = _MALFORMED.fullmatch(str(error))
    if found is None:
        return "wanted JSON, got a text that ends before it is complete"
    return f"wanted JSON, got another text at byte {found['at']}: {found['what']}"


def _wrong_kind(found: re.Match[str]) -> str:
    wanted = " or ".join(_KINDS.get(kind, kind) for kind in found["wanted"].split(" | "))
    got = _KINDS.get(found["got"], found["got"])
    return f"wanted {wanted} as {found['place'] or 'the body'}, got {got}"


def _missing(found: re.Match[str]) -> str:
    return f"wanted {_path(found)}, got JSON without it"


def _unknown(found: re.Match[str]) -> str:
    return f"wanted members that this call knows, got {_path(found)[:_NAME_CHARS_MAX]!r}"


def _too_long(found: re.Match[str]) -> str:
    return f"wanted at most {found['most']} items in {found['place'] or 'the list'}, got more"


def _path(found: re.Match[str]) -> str:
    return f"{found['place']}.{found['name']}" if found["place"] else found["name"]


_UNFIT: Final[list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]] = [
    (_WRONG_KIND, _wrong_kind),
    (_MISSING, _missing),
    (_UNKNOWN, _unknown),
    (_TOO_LONG, _too_long),
]

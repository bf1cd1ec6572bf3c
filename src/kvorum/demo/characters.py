"""The demo's data: the characters that Unicode gives a name to, from the standard library.

First edition, two entries a character:

    "U+1F600"         {"char": "😀", "name": "GRINNING FACE", "category": "So", ...}
    "GRINNING FACE"   "U+1F600"

Second edition, two writes a character: the object is replaced by one that knows its UTF-8
form too, and the character itself becomes a key:

    "U+1F600"         {"char": "😀", ..., "utf8": "f0 9f 98 80"}
    "😀"              ["U+1F600", "GRINNING FACE"]

Han, Hangul and Tangut are left out: a hundred thousand names that only spell the code point
or its parts ("CJK UNIFIED IDEOGRAPH-4E00").
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

UNICODE_VERSION: Final = unicodedata.unidata_version

_SPELT_OUT: Final = ("CJK UNIFIED IDEOGRAPH-", "HANGUL SYLLABLE ", "TANGUT IDEOGRAPH-")

ENTRIES_OF_EACH: Final = 3
"""Of both editions: the code point, the name and the character are keys."""

Entries = dict[str, bytes]
"""Key to value, as the JSON text that is stored and must come back byte for byte."""


NamedCharacter = tuple[str, str]
"""A character and its name."""


def named_characters() -> Iterator[NamedCharacter]:
    """In the order of code points."""
    for char in map(chr, range(sys.maxunicode + 1)):
        name = unicodedata.name(char, "")
        if name and not name.startswith(_SPELT_OUT):
            yield char, name


def first_edition(characters: Sequence[NamedCharacter]) -> Entries:
    entries: Entries = {}
    for char, name in characters:
        entries[code_point(char)] = _json(_properties(char, name))
        entries[name] = _json(code_point(char))
    return entries


def second_edition(characters: Sequence[NamedCharacter]) -> Entries:
    entries: Entries = {}
    for char, name in characters:
        utf8 = char.encode().hex(" ")
        entries[code_point(char)] = _json(_properties(char, name) | {"utf8": utf8})
        entries[char] = _json([code_point(char), name])
    return entries


def code_point(char: str) -> str:
    return f"U+{ord(char):04X}"


def _properties(char: str, name: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "char": char,
        "name": name,
        "category": unicodedata.category(char),
        "bidirectional": unicodedata.bidirectional(char),
        "combining": unicodedata.combining(char),
        "decomposition": unicodedata.decomposition(char),
        "mirrored": bool(unicodedata.mirrored(char)),
    }
    numeric = unicodedata.numeric(char, None)
    if numeric is not None:
        properties["numeric"] = numeric
    return properties


_json = msgspec.json.encode

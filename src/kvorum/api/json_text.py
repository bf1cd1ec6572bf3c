"""Questions about JSON text that a decoder does not answer; the text is known to be sound."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NAME: Final = re.compile(rb'[\s{,]*"[^"\\]*(?:\\.[^"\\]*)*"\s*:\s*')
_SPACES: Final = b" \t\r\n"
_BRACKETS: Final = b"[]{}"
_NO_BRACKETS: Final = bytes(set(range(256)) - set(_BRACKETS))
_STEPS: Final = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")


def is_deeper(text: bytes, depth: int) -> bool:
    """True if arrays and objects are nested more than `depth` levels deep.

    Nearly free for the usual text, which has not that many brackets at all.
    """
    if len(text) <= depth or text.count(b"[") + text.count(b"{") <= depth:
        return False
    steps = _STRING.sub(b"", text).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0) > depth


def repeats_a_name(text: bytes, values: Iterable[bytes]) -> bool:
    """True if the object `text` names a member twice; `values` as a decoder found them.

    Decoders keep one of two members of the same name. So walk the text with their values in
    hand: it must be exactly name, value, name, value, ... to its end.
    """
    at = 0
    for value in values:
        name = _NAME.match(text, at)
        if name is None or not text.startswith(value, name.end()):
            return True
        at = name.end() + len(value)
    rest = text[at:].translate(None, _SPACES)
    return rest != (b"}" if at else b"{}")

"""Questions about JSON text that a decoder does not answer; the text is known to be sound."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

_NAME: Final = re.compile(rb'[\s{,]*"[^"\\]*(?:\\.[^"\\]*)*"\s*:\s*')
_SPACES: Final = b" \t\r\n"
_BRACKETS: Final = b"[]{}"
_STEPS: Final = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")
_NEITHER_BRACKETS_NOR_QUOTES: Final = bytes(set(range(256)) - set(_BRACKETS + b'"'))


def is_deeper(text: bytes, depth: int) -> bool:
    """True if arrays and objects are nested more than `depth` levels deep.

    Nearly free for the usual text, which has not that many brackets at all. Else what is no
    bracket is taken out by a few passes over the whole text, and the rest is a walk of steps
    up (1) and down (-1).
    """
    if len(text) <= depth or text.count(b"[") + text.count(b"{") <= depth:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    steps = text.translate(_STEPS, _NEITHER_BRACKETS_NOR_QUOTES).replace(b'""', b"")
    if b'"' in steps:  # a string with brackets in it
        steps = b"".join(steps.split(b'"')[::2])
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

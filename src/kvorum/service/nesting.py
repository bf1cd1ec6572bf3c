"""How deep JSON is nested: a question that a decoder does not answer.

The text is known to be sound.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final

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

"""Whether JSON names a member twice: a question that a decoder does not answer.

The text is known to be sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_NAME: Final = re.compile(rb'[\s{,]*"[^"\\]*(?:\\.[^"\\]*)*"\s*:\s*')
_SPACES: Final = b" \t\r\n"


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

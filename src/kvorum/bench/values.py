"""Values to write: JSON strings of a given size, no two alike.

They must differ, because a store may answer a repeated identical write without writing.
Each is 16 random hexadecimal digits and a window into a block of random letters.
"""

from __future__ import annotations

import string
from random import Random
from typing import Final

_ALPHABET: Final = string.ascii_letters + string.digits
_STAMP: Final = 16
_WINDOWS: Final = 4096


class Values:
    """Makes values of `size` bytes."""

    __slots__ = ("_bits", "_block", "_rest", "_size")

    def __init__(self, rng: Random, size: int) -> None:
        self._bits = rng.getrandbits
        self._size = size
        self._rest = max(size - _STAMP, 0)
        self._block = "".join(rng.choices(_ALPHABET, k=self._rest + _WINDOWS))

    def draw(self) -> str:
        """A string of `size` ASCII characters that need no escape in JSON."""
        bits = self._bits(64)
        start = bits % _WINDOWS
        return f"{bits:016x}{self._block[start : start + self._rest]}"[: self._size]

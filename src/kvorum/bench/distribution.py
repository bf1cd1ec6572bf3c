"""Which of n entries is asked next, as in YCSB (B. Cooper et al., "Benchmarking Cloud
Serving Systems with YCSB", 2010).

    uniform   each entry alike
    zipfian   rank i with probability (i+1)**-0.99 / zeta(n), ranks scattered over the entries
    latest    Zipfian too, but rank 0 is the entry that was inserted last

Ranks are drawn by the inverse of an approximate distribution function (J. Gray et al.,
"Quickly Generating Billion-Record Synthetic Databases", 1994), exact for the two most
frequent ranks. `zipfian` draws from 10**10 ranks and hashes them onto the entries, which
is YCSB's choice: the hottest entry gets 3.8% of the requests however many entries there are.

zeta(n) = sum of i**-0.99 for i = 1..n: summed up to 1,000, and from there on by the
Euler-Maclaurin formula, whose first neglected term is below 1e-13. So n may grow at will.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import Final, Protocol

import xxhash

THETA: Final = 0.99

_SCATTERED_RANKS: Final = 10**10
_SUMMED: Final = 1000
_ZETA: Final[list[float]] = [0.0, *accumulate(i**-THETA for i in range(1, _SUMMED + 1))]
_SECOND: Final = 1.0 + 0.5**THETA


def zeta(n: int) -> float:
    """The sum of i**-THETA for i from 1 to `n`."""
    if n <= _SUMMED:
        return _ZETA[n]
    a, b = float(_SUMMED), float(n)
    integral: float = (b ** (1 - THETA) - a ** (1 - THETA)) / (1 - THETA)
    ends: float = (b**-THETA - a**-THETA) / 2
    slopes: float = THETA * (a ** (-THETA - 1) - b ** (-THETA - 1)) / 12
    return _ZETA[_SUMMED] + integral + ends + slopes


class Distribution(Protocol):
    """A way to draw one of many entries."""

    def draw(self, count: int) -> int:
        """The position, 0 <= position < count, of one of `count` entries in order of insertion."""


class Uniform:
    """Each entry alike."""

    __slots__ = ("_random",)

    def __init__(self, rng: Random) -> None:
        self._random = rng.random

    def draw(self, count: int) -> int:
        return int(self._random() * count)


class Zipfian:
    """Draws ranks: 0 is the most frequent of `count`."""

    __slots__ = ("_alpha", "_count", "_eta", "_random", "_zeta")

    def __init__(self, rng: Random) -> None:
        self._random = rng.random
        self._alpha = 1 / (1 - THETA)
        self._count = 0
        self._zeta = self._eta = 0.0

    def draw(self, count: int) -> int:
        if count != self._count:
            self._prepare(count)
        u = self._random()
        position = u * self._zeta
        if position < 1.0:
            return 0
        if position < _SECOND:
            return 1
        rank = int(count * (self._eta * u - self._eta + 1) ** self._alpha)
        # Rounding may turn the power of a number just below 1 into 1.
        return rank if rank < count else count - 1

    def _prepare(self, count: int) -> None:
        self._count = count
        self._zeta = zeta(count)
        if count > 2:
            self._eta = (1 - (2 / count) ** (1 - THETA)) / (1 - _SECOND / self._zeta)


class Scattered:
    """Zipfian ranks, each at a place that has nothing to do with its neighbours'."""

    __slots__ = ("_draw_rank",)

    def __init__(self, rng: Random) -> None:
        self._draw_rank = Zipfian(rng).draw

    def draw(self, count: int) -> int:
        rank = self._draw_rank(_SCATTERED_RANKS)
        return xxhash.xxh3_64_intdigest(rank.to_bytes(8, "little")) % count


class Latest:
    """Zipfian, the newest entries most often."""

    __slots__ = ("_draw_rank",)

    def __init__(self, rng: Random) -> None:
        self._draw_rank = Zipfian(rng).draw

    def draw(self, count: int) -> int:
        return count - 1 - self._draw_rank(count)


DISTRIBUTIONS: Final[dict[str, Callable[[Random], Distribution]]] = {
    "uniform": Uniform,
    "zipfian": Scattered,
    "latest": Latest,
}

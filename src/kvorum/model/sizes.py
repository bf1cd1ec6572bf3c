"""Sizes in bytes as people write them: 512MB, 1.5 GiB, 65536.

    kB MB GB TB        powers of 1000 (SI)
    KiB MiB GiB TiB    powers of 1024 (IEC 80000-13)

A bare number counts bytes. Case does not matter, a space before the unit is allowed.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from kvorum.model.errors import ConfigError

_SIZE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([kmgt]i?)?b?", re.IGNORECASE)
_POWERS: Final = " kmgt"


def parse_size(text: str) -> int:
    """The bytes that `text` stands for. Raises ConfigError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"{text!r} is no size. Write a number and one of B, kB, MB, GB, TB, KiB, MiB, GiB, "
            "TiB, such as 512MB or 1GiB."
        )
    number, unit = match[1], (match[2] or "").lower()
    base = 1024 if unit.endswith("i") else 1000
    return int(Decimal(number) * base ** _POWERS.index(unit[:1] or " "))


def format_size(count: int) -> str:
    """`count` bytes as people write it, with at most three digits: 512 MB."""
    value, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g} {units[0]}"

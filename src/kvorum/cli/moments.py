"""Moments as people read them: in UTC, from the milliseconds since 1970 that servers speak of."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def to_the_second(wall_ms: int | None) -> str:
    """Empty if it is not known: 0 or None."""
    return _shown(wall_ms, "seconds") if wall_ms else ""


def to_the_millisecond(wall_ms: int | None) -> str:
    return _shown(wall_ms, "milliseconds") if wall_ms else ""


def _shown(wall_ms: int, precision: str) -> str:
    try:
        return datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(" ", precision)
    except (OverflowError, ValueError, OSError):  # a clock that was set to some far age
        return f"{wall_ms} ms"

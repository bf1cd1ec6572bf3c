"""Waiting: for a condition, with a deadline that a busy machine does not reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

DEADLINE_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.02


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:g} s for {what}"
        time.sleep(_LOOK_EVERY_S)

"""The ports through which the pure floors meet the world: time, chance, and "later".

`model`, `cluster` and `replication` never import a clock, a random source, a socket or
asyncio; they are handed a `Runtime`. The real one wraps an event loop (`loop.py`), the
simulator's runs seeded and single-threaded. Rule for both: a port never calls back before
it has returned, so no operation re-enters itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol


class Cancellable(Protocol):
    """A timer."""

    def cancel(self) -> None:
        """Do not call it. Does nothing if it was called already."""


class Runtime(Protocol):
    """Time, chance and later: all that a node gets from the world but messages and its store."""

    rng: random.Random

    def now(self) -> float:
        """Monotonic seconds; only differences mean anything."""

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch; may jump."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Run `callback` after the current one has returned, in order of asking."""

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *args: Any
    ) -> Cancellable:
        """Run `callback` once, no earlier than `delay_s` seconds from now."""

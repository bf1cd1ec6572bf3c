"""Whoever watches the demo: a terminal, a log, or nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kvorum.demo.traffic import Traffic


class Audience(Protocol):
    """What the demo tells of its progress to."""

    def hear(self, text: str) -> None:
        """Something happened."""

    def begin(self, title: str, entries: int) -> Callable[[int], object]:
        """`entries` are going to be read or written; what it returns hears how many are done."""

    def end(self, traffic: Traffic) -> None:
        """The traffic of that title is over."""

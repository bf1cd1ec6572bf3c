"""Admission: a bound on the operations that wait for the node, and a quick no beyond it."""

from __future__ import annotations

from kvorum.model.errors import Overloaded


class Admission:
    __slots__ = ("_limit", "_retry_after_s", "in_flight")

    def __init__(self, limit: int, retry_after_s: int) -> None:
        self._limit = limit
        self._retry_after_s = retry_after_s
        self.in_flight = 0

    def enter(self, operations: int = 1) -> None:
        """Raises Overloaded if there is no room for that many more."""
        if self.in_flight + operations > self._limit:
            raise Overloaded(
                f"wanted at most {self._limit} operations under way, got {operations} more",
                retry_after=self._retry_after_s,
            )
        self.in_flight += operations

    def leave(self, operations: int = 1) -> None:
        self.in_flight -= operations

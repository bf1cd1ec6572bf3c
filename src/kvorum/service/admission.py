"""Admission: a bound on the operations under way; requests beyond it are refused at once."""

from __future__ import annotations

from kvorum.model.errors import Overloaded


class Admission:
    """Counts the operations under way. `limit`: how many there may be. `refused`: how many
    requests were beyond that.
    """

    def __init__(self, limit: int, retry_after_s: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.refused = 0
        self._retry_after_s = retry_after_s

    def enter(self, operations: int = 1) -> None:
        """Raises Overloaded if there is no room for that many more."""
        if self.in_flight + operations > self.limit:
            raise self.overloaded()
        self.in_flight += operations

    def leave(self, operations: int = 1) -> None:
        """Give back the places of that many operations."""
        self.in_flight -= operations

    def overloaded(self) -> Overloaded:
        """Count the refusal of an operation for which there is no room, and return it."""
        self.refused += 1
        return Overloaded(
            f"{self.in_flight} operations are under way, and at most {self.limit} may be.",
            retry_after=self._retry_after_s,
        )

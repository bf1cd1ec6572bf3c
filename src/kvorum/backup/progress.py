"""How far a job over many bytes is, told from its thread and read from any other."""

from __future__ import annotations

from kvorum.model.errors import UnavailableError


class Progress:
    """Plain counts: one thread writes them, and a reader may be a moment late."""

    __slots__ = ("cancelled", "done", "total")

    def __init__(self) -> None:
        self.total = 0
        self.done = 0
        self.cancelled = False

    def expect(self, size: int) -> None:
        self.total += size

    def advance(self, size: int) -> None:
        """Raises UnavailableError once the job is cancelled."""
        self.done += size
        if self.cancelled:
            raise UnavailableError("wanted to go on with the snapshot, but the node stops")

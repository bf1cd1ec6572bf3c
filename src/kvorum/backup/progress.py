"""The progress of a job over many bytes: counted by its thread, and read from any other."""

from __future__ import annotations

from dataclasses import dataclass

from kvorum.model.errors import UnavailableError


@dataclass(eq=False)
class Progress:
    """Bytes to be read in `total`, and `done`. Set `cancelled` to end the job."""

    total: int = 0
    done: int = 0
    cancelled: bool = False

    def expect(self, size: int) -> None:
        """`size` more bytes have to be read."""
        self.total += size

    def advance(self, size: int) -> None:
        """`size` more bytes were read. Raises UnavailableError if the job was cancelled."""
        self.done += size
        if self.cancelled:
            raise UnavailableError("The snapshot was given up because the node stops.")

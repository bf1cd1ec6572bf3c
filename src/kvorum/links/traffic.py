"""Plain counters of what passed between this node and the others, for status and metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Traffic:
    """The counters. `messages_dropped`: given to `send`, never written to a socket."""

    bytes_in: int = 0
    bytes_out: int = 0
    frames_in: int = 0
    frames_out: int = 0
    messages_in: int = 0
    messages_out: int = 0
    messages_dropped: int = 0
    links_opened: int = 0
    links_lost: int = 0
    links_refused: int = 0
    protocol_errors: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

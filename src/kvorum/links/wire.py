"""The port to the connection under a link: sockets, or the simulator's wires."""

from __future__ import annotations

from typing import Any, Protocol


class Wire(Protocol):
    """The connection that a link speaks over; asyncio's transports fit it."""

    def write(self, data: bytes, /) -> None:
        """Send `data` after all that was written before."""

    def close(self) -> None:
        """Send what was written, then end."""

    def abort(self) -> None:
        """End at once."""

    def get_write_buffer_size(self) -> int:
        """How many bytes were written and not taken yet."""

    def get_extra_info(self, name: str, /) -> Any:
        """What is known of the connection: CERTIFIED_NAME asks for the name that the other side's
        certificate has (`model/certified_name.py`); None where there is none."""

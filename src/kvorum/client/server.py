"""One server: the connections to it, and whether it is suspected.

A server that could not be reached, or that did not answer in time, is suspected: for a while
calls ask it last.
"""

from __future__ import annotations

from typing import Final

from kvorum.client.pool import Pool
from kvorum.client.url import host_port
from kvorum.model.address import Address

SUSPECT_S: Final = 5.0


class Server:
    __slots__ = ("name", "pool", "suspect_until")

    def __init__(self, address: Address) -> None:
        self.name = host_port(address)
        self.pool = Pool(address)
        self.suspect_until = 0.0

    @property
    def trusted(self) -> bool:
        """It has answered since it was last suspected."""
        return self.suspect_until == 0.0

    def suspect(self, now: float) -> None:
        self.suspect_until = now + SUSPECT_S

    def trust(self) -> None:
        self.suspect_until = 0.0

"""One server: the connections to it, and whether it is suspected.

A server that could not be reached, or did not answer in time, is suspected until it answers.
Calls ask it only when no other is left; whether it is back is found out beside them (`survey`),
after a pause that doubles with each failure. So a server that stays away costs no call its
time, and is missed for about as long again as it was away, or for a minute. Only the answer to
a call ends the doubling: one that answers nothing but probes is asked ever more seldom.
"""

from __future__ import annotations

import math
from typing import Final

from kvorum.client.access import PLAIN, Access
from kvorum.client.options import DEFAULTS
from kvorum.client.pool import Pool
from kvorum.client.requests import Request
from kvorum.client.url import host_port
from kvorum.model.address import Address

FIRST_PAUSE_S: Final = 1.0
PAUSE_S_MAX: Final = 60.0


class Server:
    """A server of the URL."""

    __slots__ = ("_access", "_pause_s", "name", "pool", "probe_at")

    def __init__(
        self,
        address: Address,
        connections: int = DEFAULTS.connections,
        access: Access = PLAIN,
    ) -> None:
        self.name = host_port(address)
        self.pool = Pool(address, connections, access)
        self._access = access
        self._pause_s = 0.0
        self.probe_at = math.inf
        """When to see whether it is back; never, if it is not suspected."""

    @property
    def trusted(self) -> bool:
        """No call has failed since one was answered."""
        return self._pause_s == 0.0

    @property
    def suspected(self) -> bool:
        """It has failed or is about to stop, and has not answered since."""
        return self.probe_at != math.inf

    def to_bytes(self, request: Request, timeout_ms: int) -> bytes:
        """`request` as this server is sent it, which may take `timeout_ms` to answer it."""
        return request.to_bytes(self.name, timeout_ms, self._access.authorization)

    def suspect(self, now: float) -> None:
        """It has not answered a call or a probe."""
        if self.suspected and now < self.probe_at:
            return  # Calls that fail together have met one failure.
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), PAUSE_S_MAX)
        self.probe_at = now + self._pause_s

    def leave(self, now: float) -> None:
        """It has answered, and ended the connection with that, as one that is about to stop does.
        It is asked last for a moment; that is no failure."""
        self.probe_at = now + FIRST_PAUSE_S

    def readmit(self) -> None:
        """It has answered a probe."""
        self.probe_at = math.inf

    def trust(self) -> None:
        """It has answered a call."""
        self._pause_s = 0.0
        self.probe_at = math.inf

"""HTTP as a face of the node: what its connections share."""

from __future__ import annotations

from typing import Final

from kvorum.api.http.host_names import HostNames
from kvorum.api.http.identification import Identification
from kvorum.api.http.limits import HttpLimits
from kvorum.api.http.reader import RequestReader
from kvorum.api.http.response import Heads
from kvorum.api.http.router import Router
from kvorum.listener.face import Line
from kvorum.service.authentication import OPEN_TO_ALL, Authenticator

_MS: Final = 1000


class HttpFace:
    """The protocol that a listener speaks with clients of HTTP/1.x."""

    port_option = "--port"

    def __init__(
        self,
        router: Router,
        limits: HttpLimits | None = None,
        names: HostNames | None = None,
        authenticator: Authenticator = OPEN_TO_ALL,
    ) -> None:
        """Without `names` it answers to IP addresses and localhost only."""
        self._authenticator = authenticator
        self._router = router
        self._limits = limits or HttpLimits()
        self._names = names or HostNames()
        self._heads = Heads(0)

    def session(self, line: Line) -> RequestReader:
        """The reader of a new connection."""
        identification = Identification(self._authenticator, line)
        return RequestReader(
            line, self._router, self._limits, self._names, self._heads, identification
        )

    def on_tick(self, wall_ms: int) -> None:
        """Set the date of the responses. `wall_ms`: since 1970."""
        self._heads.set_date(wall_ms / _MS)

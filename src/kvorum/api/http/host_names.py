"""Host names: which values of Host a server answers to. The guard against DNS rebinding.

Whoever owns a domain can have its name resolve to 127.0.0.1 once a browser has loaded a page from
it. To the browser that page and a server on its machine are then one site, so the page may read and
write there; but Host says the page's name. So a server answers only to what nobody can have as the
name of a page of his own:

    an IP address     it is no name, so nothing resolves it
    localhost         browsers never ask the DNS for it
    a configured name

The port is not looked at: a tunnel or a proxy may have another one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from kvorum.api.http.refusals import MalformedHttp, MisdirectedRequest, shown

_ALWAYS: Final = frozenset({"", "localhost"})
"""An empty Host stands for no name at all, and no browser sends it."""
_AUTHORITY: Final = re.compile(
    rb"(?:\[(?P<v6>[0-9A-Za-z:.%]+)\]|(?P<name>[A-Za-z0-9._~!$&'()*+,;=%-]*))(?::[0-9]*)?"
)


class HostNames:
    """The names that a server answers to, beside IP addresses and localhost."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = _ALWAYS.union(map(_canonical, names))

    def check(self, host: bytes) -> None:
        """Raises MalformedHttp for what is no host, MisdirectedRequest for that of another."""
        found = _AUTHORITY.fullmatch(host)
        if found is None:
            raise MalformedHttp(
                f"The Host {shown(host)} is not a host name or address with a port."
            )
        name = _canonical((found["v6"] or found["name"]).decode("ascii"))
        if name not in self._names and not _is_address(name):
            raise MisdirectedRequest(
                f"This server does not answer to the host name {name[:80]!r}.",
                advice="Use its IP address or localhost. If the name is its own, whoever runs the "
                "server has to allow it as a host name.",
            )


def _canonical(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

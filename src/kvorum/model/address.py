"""An address: where a process can be reached over TCP, written as a person writes it.

    name:port   ipv4:port   [ipv6]:port        port 1 to 65535, no leading zero

A last label of digits only means IPv4, never a host name (WHATWG URL, "ends in a number"),
so that a mistyped IPv4 address is refused here and not looked up in the DNS.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

from kvorum.model.errors import ConfigError

PORT_MAX: Final = 65535
_HOST_MAX: Final = 253

_PARTS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:]+)):(?P<port>[1-9][0-9]{0,4})")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


class Address(NamedTuple):
    """`host` is canonical: lower case, an IPv6 address in its shortest form, no brackets."""

    host: str
    port: int

    @property
    def is_wildcard(self) -> bool:
        """True for "every interface": something to listen on, nothing to connect to."""
        return self.host in ("0.0.0.0", "::")


def parse_address(text: str) -> Address:
    """The address that `text` is written for. Raises ConfigError if it is none."""
    parts = _PARTS.fullmatch(text)
    if parts is not None and int(parts["port"]) <= PORT_MAX:
        host = _ipv6(parts["v6"]) if parts["v6"] else _ipv4_or_name(parts["host"])
        if host:
            return Address(host, int(parts["port"]))
    raise ConfigError(
        f"{text!r} is no address. Write host:port, or [IPv6 address]:port, with a port from 1 to "
        f"{PORT_MAX}.",
        got=text,
    )


def is_host(text: str) -> bool:
    """True if `text` is the name of a host, or its address without brackets."""
    return (_ipv6(text) or _ipv4_or_name(text)) is not None


def _ipv6(text: str) -> str | None:
    try:
        return str(ipaddress.IPv6Address(text))
    except ipaddress.AddressValueError:
        return None


def _ipv4_or_name(text: str) -> str | None:
    if text.rpartition(".")[2].isdigit():
        try:
            return str(ipaddress.IPv4Address(text))
        except ipaddress.AddressValueError:
            return None
    if len(text) <= _HOST_MAX and _HOST_NAME.fullmatch(text):
        return text.lower()
    return None

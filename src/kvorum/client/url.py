"""Where the cluster is, and how it is asked, as one text:

    [kvorum://]HOST[:PORT][,HOST[:PORT]...][?OPTION=VALUE[&OPTION=VALUE...]]

Any listed server can answer any request; with all of them listed, calls go to a key's owners.
An IPv6 address stands in brackets: [::1]:7400. `options` has the options. Where no text is given,
the environment variable KVORUM_SERVER has it, or else the cluster is on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from kvorum.client.options import DEFAULTS, Options, from_keywords, from_text
from kvorum.model.address import Address, parse_address
from kvorum.model.errors import ConfigError

SCHEME: Final = "kvorum://"
DEFAULT_PORT: Final = 7400
DEFAULT_SERVER: Final = f"127.0.0.1:{DEFAULT_PORT}"
DEFAULT_URL: Final = f"{SCHEME}{DEFAULT_SERVER}"
SERVER_VARIABLE: Final = "KVORUM_SERVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Options):
    """Which cluster a client asks, and how."""

    servers: tuple[Address, ...]

    def __str__(self) -> str:
        """The URL, with those options that are not as they usually are."""
        given = {
            field.name: getattr(self, field.name)
            for field in fields(DEFAULTS)
            if getattr(self, field.name) != getattr(DEFAULTS, field.name)
        }
        query = urlencode({name: _as_text(value) for name, value in given.items()})
        return f"{SCHEME}{','.join(map(host_port, self.servers))}{'?' if query else ''}{query}"


def target_of(url: str | None, keywords: Mapping[str, Any]) -> Target:
    """What `connect` is asked for: the cluster at `url`, or at KVORUM_SERVER where that is None;
    `keywords` count for more than the options of the URL. Raises ConfigError."""
    if url is not None:
        target = parse_url(url)
    elif from_environment := os.environ.get(SERVER_VARIABLE):
        try:
            target = parse_url(from_environment)
        except ConfigError as error:
            raise ConfigError(f"The variable {SERVER_VARIABLE}: {error.message}") from error
    else:
        target = parse_url(DEFAULT_URL)
    return with_keywords(target, keywords)


def with_keywords(target: Target, keywords: Mapping[str, Any]) -> Target:
    """`target` with those options that are given. Raises ConfigError."""
    return replace(target, **from_keywords(keywords))


def parse_url(url: str) -> Target:
    """Raises ConfigError if `url` names no servers, or has options that are none."""
    if not isinstance(url, str):
        raise ConfigError(f"{repr(url)[:80]} is not a kvorum URL. Give one such as {DEFAULT_URL}.")
    servers, _, query = url.removeprefix(SCHEME).partition("?")
    if "://" in servers or not servers:
        raise ConfigError(
            f"{url!r} is not a kvorum URL. Give one such as {DEFAULT_URL}, or HOST:PORT alone."
        )
    if "@" in servers:
        raise ConfigError("A kvorum URL has no user and no password. Write it without them.")
    try:
        options = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise ConfigError(
            f"The URL's options cannot be read: ?{query}. Write them as in ?timeout=5."
        ) from error
    return Target(servers=parse_servers(servers.removesuffix("/")), **from_text(_once(options)))


def parse_servers(text: str) -> tuple[Address, ...]:
    """The servers in HOST[:PORT][,HOST[:PORT]...], each once, in order."""
    return tuple(dict.fromkeys(_server(part) for part in text.split(",")))


def host_port(address: Address) -> str:
    """As a URL and the Host of a request have it."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def _as_text(value: Any) -> str:
    """An option as a URL has it; of an object its type, for that is no part of a URL."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float() | str():
            return str(value)
    return str(getattr(value, "__name__", type(value).__name__))


def _once(options: list[tuple[str, str]]) -> dict[str, str]:
    """By name. Raises ConfigError if one is given twice."""
    found: dict[str, str] = {}
    for name, value in options:
        if name in found:
            raise ConfigError(f"The URL has the option {name!r} twice. Write it once.")
        found[name] = value
    return found


def _server(text: str) -> Address:
    if not text:
        raise ConfigError(
            "The name of a server is missing. Write HOST or HOST:PORT, with commas between."
        )
    has_port = ":" in text.rpartition("]")[2]
    return parse_address(text if has_port else f"{text}:{DEFAULT_PORT}")

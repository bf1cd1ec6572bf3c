"""Where the cluster is, and how it is asked, as one text:

    [kvorum://]HOST[:PORT][,HOST[:PORT]...][?OPTION=VALUE[&OPTION=VALUE...]]
    kvorums://[TOKEN@|USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...][?OPTION=VALUE...]

kvorums is for TLS, and only there are credentials sent. What they hold that means something in a
URL is percent-encoded. Any listed server can answer any request; with all of them listed, calls go
to a key's owners. An IPv6 address stands in brackets: [::1]:7400. `options` has the options.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

from kvorum.client.options import DEFAULTS, Options, from_keywords, from_text
from kvorum.client.security import SECRETS, SECURE_SCHEME, Security, check_security
from kvorum.model.address import Address, parse_address
from kvorum.model.errors import ConfigError

SCHEME: Final = "kvorum://"
DEFAULT_PORT: Final = 7400
DEFAULT_SERVER: Final = f"127.0.0.1:{DEFAULT_PORT}"
DEFAULT_URL: Final = f"{SCHEME}{DEFAULT_SERVER}"

_NOT_SHOWN: Final = SECRETS | {"user"}
_AUTHORITY: Final = re.compile(r"[^/?#]*")
"""Of a URL without its scheme, what comes before the options (RFC 3986, section 3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Options):
    """Which cluster a client asks, and how."""

    servers: tuple[Address, ...]
    tls: bool = False

    @property
    def security(self) -> Security | None:
        """How TLS is made, and who asks. None: without TLS, nobody in particular."""
        if not self.tls:
            return None
        return Security(**{field.name: getattr(self, field.name) for field in fields(Security)})

    def __str__(self) -> str:
        """The URL, without credentials, and with those options that are not as they usually are."""
        given = {
            field.name: getattr(self, field.name)
            for field in fields(DEFAULTS)
            if getattr(self, field.name) != getattr(DEFAULTS, field.name)
        }
        query = urlencode(
            {name: _as_text(value) for name, value in given.items() if name not in _NOT_SHOWN},
            safe="/",
        )
        scheme = SECURE_SCHEME if self.tls else SCHEME
        return f"{scheme}{','.join(map(host_port, self.servers))}{'?' if query else ''}{query}"


class ParsedUrl(NamedTuple):
    """What stands in a URL; `options` are those that it has, checked one by one."""

    servers: tuple[Address, ...]
    tls: bool
    options: dict[str, Any]

    def __repr__(self) -> str:
        return f"ParsedUrl({','.join(map(host_port, self.servers))})"

    def target(self, options: dict[str, Any]) -> Target:
        """These servers, asked with `options`. Raises ConfigError if they contradict each other."""
        target = Target(servers=self.servers, tls=self.tls, **options)
        check_security(target, tls=self.tls)
        return target


def parse_url(url: str) -> Target:
    """Raises ConfigError if `url` names no servers, or has options that are none."""
    parsed = read_url(url)
    return parsed.target(parsed.options)


def read_url(url: str) -> ParsedUrl:
    """What stands in `url`. Raises ConfigError, which shows no credentials, if that is no URL."""
    if not isinstance(url, str):
        raise ConfigError(f"{repr(url)[:80]} is not a kvorum URL. Give one such as {DEFAULT_URL}.")
    tls = url.startswith(SECURE_SCHEME)
    rest = url.removeprefix(SECURE_SCHEME if tls else SCHEME)
    authority = _AUTHORITY.match(rest)
    userinfo, at, _ = authority[0].rpartition("@") if authority else ("", "", "")
    rest = rest.removeprefix(userinfo + at)
    try:
        credentials = _credentials(userinfo) if at else {}
        servers, options = _servers_and_options(rest, "credentials in it" if at else repr(url))
        return ParsedUrl(servers, tls, {**credentials, **options})
    except ConfigError:
        if "@" not in rest:
            raise
    # Part of a password may be taken for something else, which its error would show.
    raise ConfigError(
        "The kvorum URL cannot be read. In a user, password or token, and in an option, write "
        "characters such as @ / ? # : % percent-encoded: %40 for @, %2F for /."
    )


def has_credentials(url: str) -> bool:
    """True if `url` has a token, or a user and a password, in front of its servers."""
    rest = url.removeprefix(SECURE_SCHEME).removeprefix(SCHEME)
    return "@" in rest.partition("?")[0]


def _servers_and_options(text: str, shown: str) -> tuple[tuple[Address, ...], dict[str, Any]]:
    servers, _, query = text.partition("?")
    if "://" in servers or not servers:
        raise ConfigError(
            f"{shown} is not a kvorum URL. Give one such as {DEFAULT_URL}, or HOST:PORT alone."
        )
    try:
        options = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise ConfigError(
            f"The URL's options cannot be read: ?{query}. Write them as in ?timeout=5."
        ) from error
    return parse_servers(servers.removesuffix("/")), from_text(_once(options))


def _credentials(userinfo: str) -> dict[str, Any]:
    """Those in front of the servers. Raises ConfigError."""
    first, colon, second = userinfo.partition(":")
    try:
        one, other = unquote(first, errors="strict"), unquote(second, errors="strict")
    except UnicodeDecodeError:
        one = ""
    if not one:
        raise ConfigError(
            "The credentials of the URL cannot be read. Write kvorums://TOKEN@HOST or "
            "kvorums://USER:PASSWORD@HOST."
        )
    return from_keywords({"user": one, "password": other} if colon else {"token": one})


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
        case int() | float() | str() | Path():
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

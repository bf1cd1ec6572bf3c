"""Where the cluster is: kvorum://HOST[:PORT][,HOST[:PORT]...][?namespace=NAME&timeout=SECONDS]

Any listed server can answer any request; with all of them listed, calls go to a key's owners.
An IPv6 address stands in brackets: kvorum://[::1]:7400
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from kvorum.client.conflicts import LATEST, OnConflict
from kvorum.client.lifetime import WrongType
from kvorum.client.serializers import Serializing
from kvorum.model.address import Address, parse_address
from kvorum.model.errors import ConfigError
from kvorum.model.keys import is_namespace_name

SCHEME: Final = "kvorum://"
DEFAULT_PORT: Final = 7400
DEFAULT_URL: Final = f"{SCHEME}127.0.0.1:{DEFAULT_PORT}"
DEFAULT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL. `namespace` None means the cluster's default namespace."""

    servers: tuple[Address, ...]
    namespace: str | None = None
    timeout: float = DEFAULT_TIMEOUT_S
    on_conflict: OnConflict = LATEST
    serializer: Serializing = "json"


def parse_url(url: str) -> Target:
    """Raises ConfigError if `url` is not a kvorum URL."""
    if not (isinstance(url, str) and url.startswith(SCHEME)):
        raise ConfigError(f"{url!r} is not a kvorum URL. Give one such as {DEFAULT_URL}.")
    servers, _, query = url.removeprefix(SCHEME).partition("?")
    try:
        options = dict(
            parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else ()
        )
    except ValueError as error:
        raise ConfigError(
            f"The URL's options cannot be read: ?{query}. Write them as in ?timeout=5."
        ) from error
    if unknown := options.keys() - {"namespace", "timeout"}:
        raise ConfigError(
            f"A kvorum URL has no option {min(unknown)!r}. Its options are namespace and timeout."
        )
    return Target(
        parse_servers(servers.removesuffix("/")),
        check_namespace(options["namespace"]) if "namespace" in options else None,
        _timeout(options["timeout"]) if "timeout" in options else DEFAULT_TIMEOUT_S,
    )


def parse_servers(text: str) -> tuple[Address, ...]:
    """The servers in HOST[:PORT][,HOST[:PORT]...], each once, in order."""
    return tuple(dict.fromkeys(_server(part) for part in text.split(",")))


def host_port(address: Address) -> str:
    """As a URL and the Host of a request have it."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def check_is_text(name: object) -> None:
    """Raises WrongType if `name` can be no namespace's, whatever it is."""
    if not isinstance(name, str):
        raise WrongType(
            f"The name of a namespace is a str, and not {type(name).__name__} ({repr(name)[:40]})."
        )


def check_namespace(name: str) -> str:
    """Raises ConfigError if no namespace can be called `name`, and WrongType."""
    check_is_text(name)
    if not is_namespace_name(name):
        raise ConfigError(
            f"No namespace can be called {name!r}: a name has 1 to 64 letters, digits, '_', '.', "
            "'-', and begins with a letter or digit. Choose another one."
        )
    return name


def check_timeout(seconds: float) -> float:
    """The timeout in seconds. Raises ConfigError if that is none."""
    if not (isinstance(seconds, int | float) and 0 < seconds <= sys.float_info.max):
        raise ConfigError(
            f"The timeout is {seconds!r}. Give a number of seconds that is more than 0."
        )
    return float(seconds)


def _timeout(text: str) -> float:
    try:
        return check_timeout(float(text))
    except ValueError as error:
        raise ConfigError(f"The timeout {text!r} is not a number of seconds.") from error


def _server(text: str) -> Address:
    if not text:
        raise ConfigError(
            "The name of a server is missing. Write HOST or HOST:PORT, with commas between."
        )
    has_port = ":" in text.rpartition("]")[2]
    return parse_address(text if has_port else f"{text}:{DEFAULT_PORT}")

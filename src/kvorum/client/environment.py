"""The cluster that a client asks where the program does not say which, or not all of it.

    the URL and keywords of `connect`, or the options of a command
    the environment variable KVORUM_SERVER
    a context: the one in KVORUM_CONTEXT, else the current one  (`contexts`)
    127.0.0.1:7400

The first of these that names servers decides. What it says of TLS and credentials belongs to these
servers, and keywords count for more. What neither says is taken from KVORUM_TOKEN, KVORUM_CA and
so on, but for servers with TLS only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from kvorum.client import contexts
from kvorum.client.options import from_keywords
from kvorum.client.security import over
from kvorum.client.url import DEFAULT_URL, ParsedUrl, Target, read_url
from kvorum.model.errors import ConfigError

SERVER_VARIABLE: Final = "KVORUM_SERVER"
CONTEXT_VARIABLE: Final = "KVORUM_CONTEXT"
VARIABLES: Final = {
    "ca": "KVORUM_CA",
    "cert": "KVORUM_CERT",
    "key": "KVORUM_KEY",
    "token": "KVORUM_TOKEN",
    "token_file": "KVORUM_TOKEN_FILE",
}
"""By option."""

_Given = TypeVar("_Given")
_T = TypeVar("_T")


def target_of(
    url: str | None, keywords: Mapping[str, Any], *, context: str | None = None
) -> Target:
    """What `connect` is asked for: the cluster at `url`, or that of `context`, or else the one that
    the environment names; `keywords` count for more than the options found there. Raises
    ConfigError."""
    given = from_keywords(keywords)
    parsed = _servers(url, context)
    options = over(given, parsed.options)
    if parsed.tls:
        options = over(options, _of_environment())
    return parsed.target(options)


def _servers(url: str | None, context: str | None) -> ParsedUrl:
    if url is not None and context is not None:
        raise ConfigError(f"Both servers and the context {context!r} are given. Give one of them.")
    if url is not None:
        return read_url(url)
    if context is not None:
        return contexts.parsed(context)
    if text := os.environ.get(SERVER_VARIABLE):
        return _of_variable(SERVER_VARIABLE, read_url, text)
    if name := os.environ.get(CONTEXT_VARIABLE):
        return _of_variable(CONTEXT_VARIABLE, contexts.parsed, name)
    return contexts.current() or read_url(DEFAULT_URL)


def _of_environment() -> dict[str, Any]:
    """The options in the environment, checked. Raises ConfigError, which names the variable."""
    found: dict[str, Any] = {}
    for name, variable in VARIABLES.items():
        if text := os.environ.get(variable):
            found |= _of_variable(variable, from_keywords, {name: text})
    return found


def _of_variable(variable: str, read: Callable[[_Given], _T], given: _Given) -> _T:
    try:
        return read(given)
    except ConfigError as error:
        raise ConfigError(f"The variable {variable}: {error.message}") from error

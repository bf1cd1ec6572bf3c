"""The options of a client: what each is, what it is where nobody says otherwise, and its check.

They stand in the URL as text, kvorum://HOST?timeout=5&r=2, or in the call of `connect` as keywords,
which count for more. `connect` takes them as `Keywords`; `Options` has all of them, checked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypedDict

from kvorum.client.lifetime import WrongType
from kvorum.client.security import Security, check_token
from kvorum.model.errors import ConfigError
from kvorum.model.keys import is_namespace_name
from kvorum.model.topology import QuorumKind

CONNECTIONS_MAX: Final = 10_000
RETRIES_MAX: Final = 1_000
_REPLICAS_MAX: Final = 1_000

_QUORUMS: Final = ("strict", "sloppy")
_SWITCHES: Final = {"true": True, "1": True, "false": False, "0": False}


class Keywords(TypedDict, total=False):
    """The options of a client, as keywords of `connect`; None is the same as left out."""

    ca: str | os.PathLike[str] | None
    cert: str | os.PathLike[str] | None
    key: str | os.PathLike[str] | None
    token: str | None
    token_file: str | os.PathLike[str] | None
    user: str | None
    password: str | None
    namespace: str | None
    timeout: float | None
    r: int | None
    w: int | None
    quorum: QuorumKind | None
    connections: int | None
    retries: int | None
    backoff: float | None
    backoff_max: float | None
    retry_unknown: bool | None
    on_conflict: Any
    serializer: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Security):
    """How a client asks."""

    namespace: str | None = None
    """The namespace of calls that name none. None: the cluster's default one."""
    timeout: float = 10.0
    """How many seconds a call may last, with all its repeats."""
    r: int | None = None
    """How many replicas must answer a read. None: as the namespace says."""
    w: int | None = None
    """How many replicas must acknowledge a write. None: as the namespace says."""
    quorum: QuorumKind | None = None
    """"strict" or "sloppy". None: as the namespace says."""
    connections: int = 64
    """How many connections to each server are open at once, at most."""
    retries: int = 5
    """How often a call is repeated after a pause, at most."""
    backoff: float = 0.05
    """The bound of the first pause in seconds; each next one's is twice as long."""
    backoff_max: float = 1.0
    """The bound of every pause."""
    retry_unknown: bool = False
    """Whether a write of unknown outcome is asked about, and repeated where that is safe."""
    on_conflict: Any = "latest"
    """Which value a read returns of a key that holds siblings."""
    serializer: Any = "json"
    """How values become what is stored, and values again."""


DEFAULTS: Final = Options()


def from_text(texts: Mapping[str, str]) -> dict[str, Any]:
    """The options of a URL, checked. Raises ConfigError."""
    _check_names(texts, "A kvorum URL")
    if named := {"token", "user", "password"} & texts.keys():
        raise ConfigError(
            f"A URL has no option {min(named)!r}. Write kvorums://TOKEN@HOST or "
            "kvorums://USER:PASSWORD@HOST."
        )
    return {name: _CHECKS[name](_READ[name](text)) for name, text in texts.items()}


def from_keywords(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that are given, checked. Raises ConfigError."""
    _check_names(values, "A client")
    return {name: _CHECKS[name](value) for name, value in values.items() if value is not None}


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
    if not _is_number(seconds, int | float) or not 0 < seconds <= sys.float_info.max:
        raise ConfigError(
            f"The timeout is {_shown(seconds)}. Give a number of seconds that is more than 0."
        )
    return float(seconds)


def check_switch(name: str, value: object) -> bool:
    """`value`, of the option `name`, which is on or off. Raises ConfigError if it is neither."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {_shown(value)}. Give True or False; in a URL true or false.")
    return value


def _whole(name: str, least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not _is_number(value, int) or not least <= value <= most:
            raise ConfigError(
                f"{name} is {_shown(value)}. Give a whole number from {least} to {most}."
            )
        return int(value)

    return check


def _seconds(name: str) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if not _is_number(value, int | float) or not 0 <= value <= sys.float_info.max:
            raise ConfigError(f"{name} is {_shown(value)}. Give a number of seconds, 0 or more.")
        return float(value)

    return check


def _file(name: str) -> Callable[[Any], Path]:
    def check(value: Any) -> Path:
        if not isinstance(value, str | os.PathLike) or not os.fspath(value):
            raise ConfigError(f"{name} is {_shown(value)}. Give the name of a file.")
        return Path(value).expanduser()

    return check


def _user(value: Any) -> str:
    if not isinstance(value, str) or not value or ":" in value:
        raise ConfigError(f"user is {_shown(value)}. Give the name of a user.")
    return value


def _password(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError("The password is empty or no text. Give that of the user.")
    return value


def _quorum(value: Any) -> Any:
    if value not in _QUORUMS:
        raise ConfigError(f"quorum is {_shown(value)}. Give {' or '.join(_QUORUMS)}.")
    return value


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:80]}..."


def _check_names(given: Mapping[str, object], whose: str) -> None:
    for name in given:
        if name not in _CHECKS:
            near = get_close_matches(name, _CHECKS, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{whose} has no option {_shown(name)}.{hint} Its options are {', '.join(_CHECKS)}."
            )


def _as_it_is(value: Any) -> Any:
    return value


def _number(text: str) -> Any:
    """The number that `text` is; if it is none, the text itself, which its check then refuses."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _switch(text: str) -> Any:
    return _SWITCHES.get(text.lower(), text)


_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "ca": _file("ca"),
    "cert": _file("cert"),
    "key": _file("key"),
    "token": check_token,
    "token_file": _file("token_file"),
    "user": _user,
    "password": _password,
    "namespace": check_namespace,
    "timeout": check_timeout,
    "r": _whole("r", 1, _REPLICAS_MAX),
    "w": _whole("w", 1, _REPLICAS_MAX),
    "quorum": _quorum,
    "connections": _whole("connections", 1, CONNECTIONS_MAX),
    "retries": _whole("retries", 0, RETRIES_MAX),
    "backoff": _seconds("backoff"),
    "backoff_max": _seconds("backoff_max"),
    "retry_unknown": lambda value: check_switch("retry_unknown", value),
    "on_conflict": _as_it_is,
    "serializer": _as_it_is,
}
_TEXTS: Final = {"namespace", "quorum", "on_conflict", "serializer"} | {
    field.name for field in fields(Security)
}
_READ: Final[dict[str, Callable[[str], Any]]] = {
    name: _as_it_is if name in _TEXTS else _switch if name == "retry_unknown" else _number
    for name in _CHECKS
}

assert list(_CHECKS) == [field.name for field in fields(Options)]

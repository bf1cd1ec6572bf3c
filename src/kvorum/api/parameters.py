"""Keys and namespaces in paths and parameters in queries: percent-encoded UTF-8, read strictly.

A path is never normalised here, so `.` and `..` are keys like any other. Many clients do that
before they send one, though; so a key may also be the parameter `key`. A slash separates parts of a
path; one that belongs to a key is written %2F. `+` in a query is a plus.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args
from urllib.parse import unquote_to_bytes

from kvorum.model.errors import InvalidKey, RequestError
from kvorum.model.expiry import EXPIRES_MS_MAX, NEVER
from kvorum.model.keys import KEY_BYTES_MAX, is_namespace_name
from kvorum.model.topology import DEFAULT_NAMESPACE, TTL_S_MAX, QuorumKind
from kvorum.service.lifetimes import Lifetime, lifetime

COUNT_MAX: Final = 9999
"""Of replicas asked for; whether there are as many is the coordinator's to check."""
TIMEOUT_MS_MAX: Final = 60_000
PAGE_ENTRIES_MAX: Final = 10_000


_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
_MOST: Final = {
    "r": COUNT_MAX,
    "w": COUNT_MAX,
    "timeout_ms": TIMEOUT_MS_MAX,
    "limit": PAGE_ENTRIES_MAX,
    "ttl": TTL_S_MAX,
    "expires_at": EXPIRES_MS_MAX,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What a query may say; each call takes some of it."""

    namespace: str = DEFAULT_NAMESPACE
    key: str | None = None
    r: int = 0
    w: int = 0
    """Of replicas; 0 is the namespace's default."""
    timeout_ms: int = 0
    quorum: Literal["", "strict", "sloppy"] = ""
    """The kind of quorum; empty is the namespace's default."""
    version: str | None = None
    cursor: str | None = None
    limit: int = 0
    """0 is the API's default."""
    ttl: int | None = None
    """Seconds; NEVER is for ever, None the namespace's default."""
    expires_at: int | None = None
    """In place of `ttl` the moment, in ms since 1970."""
    prefix: str = ""
    start_after: str = ""
    values: bool = True
    confirm: str | None = None
    """The prefix once more, or the namespace where it is empty, to delete all that begins so."""
    raw: bool = False
    """A value is asked for as it is stored, and not in JSON."""

    @property
    def lifetime(self) -> Lifetime:
        """What `ttl` and `expires_at` say. Raises RequestError."""
        if self.ttl is not None and self.expires_at is not None:
            raise RequestError("Both ttl and expires_at are given: leave one out.")
        return lifetime(self.ttl, self.expires_at)


_KEY_PLACES: Final = "Put it at the end of the path, or in the query as key=."
_ONE_KEY: Final = "Leave one out; a key that a client would change in a path goes in the query."
_TRUTHS: Final = {"true": True, "false": False}
_FOR_EVER: Final = "null"
"""As a ttl, like in JSON."""
_QUORUMS: Final = get_args(QuorumKind)
NO_OPTIONS: Final = Options()


def key_of(part: bytes, options: Options) -> str:
    """The key of a call, in `part` of its path or in its query. Raises RequestError."""
    if options.key is not None:
        if part:
            raise RequestError(
                "The key is given twice, in the path and in the query.", advice=_ONE_KEY
            )
        return options.key
    if not part:
        raise InvalidKey("No key is given.", advice=_KEY_PLACES)
    if b"/" in part:
        raise InvalidKey("A '/' in a key is written %2F in a path.")
    try:
        return _decode(part) if b"%" in part else part.decode("ascii")
    except ValueError as error:
        raise InvalidKey(f"The key is not percent-encoded UTF-8: {error}.") from error


_SECRETS: Final = frozenset({"token", "access_token", "password"})
"""What other servers take as parameters."""


def parse_query(query: bytes, allowed: frozenset[str]) -> Options:
    """Raises RequestError, unless every parameter is one of `allowed`, sound, and there once."""
    if not query:
        return NO_OPTIONS
    options: dict[str, Any] = {}
    for pair in query.split(b"&"):
        raw_name, _, raw_value = pair.partition(b"=")
        try:
            name, value = _decode(raw_name), _decode(raw_value)
        except ValueError as error:
            raise RequestError(f"The query is not percent-encoded UTF-8: {error}.") from error
        if name not in allowed:
            if name in _SECRETS:
                raise RequestError(
                    f"{name} is in the URL, where programs on the way may keep it, and was not "
                    "looked at. Revoke it, and send another one as 'Authorization: Bearer TOKEN'."
                )
            raise RequestError(f"Unknown query parameter {name[:80]!r}: {_known(allowed)}.")
        field = "version" if name == "valueVersion" else name
        if field in options:
            raise RequestError(f"The query parameter {name} is given more than once.")
        options[field] = _read(name, value)
    return Options(**options)


def checked_namespace(name: str) -> str:
    """Raises RequestError if no namespace can be called `name`."""
    if not is_namespace_name(name):
        raise RequestError(
            f"No namespace can be called {name[:80]!r}: a name has 1 to 64 characters from A-Z a-z "
            "0-9 _ . -, and begins with a letter or digit."
        )
    return name


def namespace_of(part: bytes) -> str:
    """The namespace that `part` of a path names. Raises RequestError."""
    try:
        return checked_namespace(_decode(part))
    except ValueError as error:
        raise RequestError(
            f"The name of the namespace in the path is not percent-encoded UTF-8: {error}. "
            "Encode it as a URL is."
        ) from error


def name_of(part: bytes) -> str:
    """The name that `part` of a path is, of whatever. Raises RequestError."""
    try:
        return _decode(part)
    except ValueError as error:
        raise RequestError(
            f"The name in the path is not percent-encoded UTF-8: {error}. Encode it as a URL is."
        ) from error


def _read(name: str, value: str) -> str | int | bool:
    if name == "namespace":
        return checked_namespace(value)
    if name in ("raw", "values"):
        return _truth(name, value)
    if name == "ttl" and value == _FOR_EVER:
        return NEVER
    if name == "prefix" and len(value.encode()) > KEY_BYTES_MAX:
        raise RequestError(
            f"The prefix has {len(value.encode())} bytes, and a key at most {KEY_BYTES_MAX}: no "
            "key begins so."
        )
    if name == "quorum" and value not in _QUORUMS:
        raise RequestError(f"Unknown quorum {value[:80]!r}: it is 'strict' or 'sloppy'.")
    return _number(name, value, _MOST[name]) if name in _MOST else value


def _truth(name: str, value: str) -> bool:
    if value not in _TRUTHS:
        raise RequestError(
            f"The query parameter {name} has to be true or false, not {value[:80]!r}.",
            wanted="true or false",
            got=value[:80],
        )
    return _TRUTHS[value]


def _number(name: str, value: str, most: int) -> int:
    if not _NUMBER.fullmatch(value) or int(value) > most:
        raise RequestError(
            f"The query parameter {name} has to be a number from 1 to {most}, not {value[:80]!r}.",
            wanted=f"1..{most}",
            got=value[:80],
        )
    return int(value)


def _decode(raw: bytes) -> str:
    """Raises ValueError, whose message says what is wrong."""
    if b"%" not in raw:
        return raw.decode("ascii")
    bad = _BAD_ESCAPE.search(raw)
    if bad:
        raise ValueError(f"{bad.group().decode('ascii')!r} is no escape")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise ValueError(error.reason) from error


def _known(names: frozenset[str]) -> str:
    return f"this call takes {', '.join(sorted(names))}" if names else "this call takes none"

"""The HTTP API as it goes out: each function is one call, as a value.

A request knows nothing of servers or time: the head is made when it is sent, because its
Host and its remaining `timeout_ms` differ from attempt to attempt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from kvorum import __version__
from kvorum.client.lifetime import Ttl, checked_lifetime, checked_renewal
from kvorum.client.values import JsonText
from kvorum.model.errors import InvalidVersion, RequestError
from kvorum.model.keys import encode_key
from kvorum.model.topology import QuorumKind

TIMEOUT_MS_MAX: Final = 60_000
"""The most a server lets a request ask for; a call with more time to spare asks for this."""

_TAG: Final = re.compile(r"[!#-~]+")
_DOT_SEGMENTS: Final = (".", "..")
"""Keys that a proxy may take for parts of a path, and remove (RFC 3986, section 5.2.4)."""
_AGENT: Final = f"kvorum-python/{__version__}"

Pairs = tuple[tuple[str, str], ...]


class Subject(NamedTuple):
    """The entry that a request is about."""

    namespace: str | None
    key: str
    blind: bool = False
    """It is written without a version, so one node coordinates it: the entry's first owner."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the HTTP API, before it is known which server is asked."""

    method: str
    path: str
    query: Pairs = ()
    body: bytes = field(default=b"", repr=False)
    """It may hold a password."""
    condition: Pairs = ()
    """The header fields that say what the entry has to be like."""
    safe: bool = False
    """It changes nothing, so it may be repeated whatever became of it."""
    timed: bool = True
    """A quorum of replicas is asked: the server takes `timeout_ms`, and their number."""
    about: Subject | None = None
    """None if any server does as well as another."""

    def to_bytes(self, host: str, timeout_ms: int, authorization: str = "") -> bytes:
        """As it is sent to the server `host`, which may take `timeout_ms` to answer it.
        `authorization`: a header field with its end of line, or nothing."""
        query = self.query
        if self.timed:
            query = (*query, ("timeout_ms", str(min(timeout_ms, TIMEOUT_MS_MAX))))
        target = f"{self.path}?{urlencode(query, quote_via=quote)}" if query else self.path
        head = (
            f"{self.method} {target} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {_AGENT}\r\n"
            f"{authorization}"
        )
        for name, value in self.condition:
            head += f"{name}: {value}\r\n"
        if self.body:
            head += f"content-type: application/json\r\ncontent-length: {len(self.body)}\r\n"
        return head.encode("ascii") + b"\r\n" + self.body


class Lifetime(NamedTuple):
    """How long it lives: `ttl`, 0 for ever; until `expires_at` (ms); or as the namespace says."""

    ttl: Ttl | None = None
    expires_at: int | None = None


DEFAULT_LIFETIME: Final = Lifetime()


class _PutMetadata(msgspec.Struct, omit_defaults=True, rename="camel"):
    value_version: str | None = None
    encoding: str | None = None
    content_type: str | None = None
    ttl: int | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: int | None = None


class _PutBody(msgspec.Struct, omit_defaults=True):
    key: str
    value: msgspec.Raw
    metadata: _PutMetadata | None = None
    namespace: str | None = None


_encode: Final = msgspec.json.Encoder().encode


def get(
    key: str, namespace: str | None, r: int | None, quorum: QuorumKind | None = None
) -> Request:
    """Read one entry. Raises InvalidKey."""
    query = query_of(namespace=namespace, r=r, quorum=quorum)
    about = Subject(namespace, key)
    path, named = _place("entry", key)
    return Request("GET", path, named + query, safe=True, about=about)


def put(
    about: Subject,
    item: bytes,
    w: int | None,
    quorum: QuorumKind | None = None,
    condition: Pairs = (),
) -> Request:
    """Store one entry; `item` is made by `put_item`."""
    query = query_of(w=w, quorum=quorum)
    return Request("POST", "/entry", query, item, condition, about=about)


def put_item(
    key: str,
    text: JsonText,
    version: str | None,
    namespace: str | None,
    lifetime: Lifetime = DEFAULT_LIFETIME,
) -> bytes:
    """The body of a put; also one item of `put_many`. Raises InvalidKey, RequestError."""
    encode_key(key)
    metadata = None
    if text.binary or version is not None or lifetime != DEFAULT_LIFETIME:
        metadata = _metadata(version, lifetime, text)
    return _encode(_PutBody(key, msgspec.Raw(text.json), metadata, namespace))


def touch(
    key: str,
    version: str | None,
    lifetime: Lifetime,
    namespace: str | None,
    w: int | None,
    quorum: QuorumKind | None = None,
    condition: Pairs = (),
) -> Request:
    """Give an entry another lifetime. Raises InvalidKey, RequestError."""
    query = query_of(namespace=namespace, w=w, quorum=quorum)
    body = body_of(metadata=_renewed(version, lifetime))
    about = Subject(namespace, key, blind=version is None)
    path, named = _place("entry", key)
    return Request("PATCH", path, named + query, body, condition, about=about)


def delete(
    key: str,
    version: str | None,
    namespace: str | None,
    w: int | None,
    quorum: QuorumKind | None = None,
    condition: Pairs = (),
) -> Request:
    """Delete one entry. Raises InvalidKey."""
    query = query_of(valueVersion=version, namespace=namespace, w=w, quorum=quorum)
    about = Subject(namespace, key, blind=version is None)
    path, named = _place("entry", key)
    return Request("DELETE", path, named + query, condition=condition, about=about)


ABSENT: Final[Pairs] = (("if-none-match", "*"),)


def condition(if_version: str | None, if_absent: bool = False) -> Pairs:
    """That the entry is at `if_version`, or that the key has no value. Raises RequestError if both
    are given, InvalidVersion."""
    if if_version is None:
        return ABSENT if if_absent else ()
    if if_absent:
        raise RequestError("Both if_version and if_absent are given. Give one of them.")
    if _TAG.fullmatch(if_version) is None:
        raise InvalidVersion(
            f"{if_version[:80]!r} is no version of an entry. Give if_version= as a read or a write "
            "returned it."
        )
    return (("if-match", f'"{if_version}"'),)


def put_many(items: Iterable[bytes], w: int | None, quorum: QuorumKind | None = None) -> Request:
    """Store many entries; the `items` are made by `put_item`."""
    body = b'{"entries":[' + b",".join(items) + b"]}"
    return Request("POST", "/entries", query_of(w=w, quorum=quorum), body)


def get_many(
    keys: list[str], namespace: str | None, r: int | None, quorum: QuorumKind | None = None
) -> Request:
    """Read the entries of many keys."""
    body = body_of(keys=keys, namespace=namespace)
    return Request("POST", "/entries/get", query_of(r=r, quorum=quorum), body, safe=True)


def exist_many(
    keys: list[str], namespace: str | None, r: int | None, quorum: QuorumKind | None = None
) -> Request:
    """Read the entries of many keys without their values."""
    body = body_of(keys=keys, namespace=namespace)
    query = query_of(values="false", r=r, quorum=quorum)
    return Request("POST", "/entries/get", query, body, safe=True)


def delete_many(
    keys: list[str], namespace: str | None, w: int | None, quorum: QuorumKind | None = None
) -> Request:
    """Delete the entries of many keys."""
    body = body_of(keys=keys, namespace=namespace)
    return Request("DELETE", "/entries", query_of(w=w, quorum=quorum), body)


def touch_many(
    keys: list[str],
    lifetime: Lifetime,
    namespace: str | None,
    w: int | None,
    quorum: QuorumKind | None = None,
) -> Request:
    """Give the entries of many keys another lifetime. Raises RequestError."""
    body = body_of(keys=keys, namespace=namespace, metadata=_renewed(None, lifetime))
    return Request("POST", "/entries/touch", query_of(w=w, quorum=quorum), body)


class Listed(NamedTuple):
    """The entries that a listing is about: those whose keys begin with `prefix`; and where a page
    of it begins: at `cursor` of the page before, or behind the key `start_after`."""

    prefix: str = ""
    namespace: str | None = None
    cursor: str | None = None
    start_after: str | None = None

    def query(self) -> Pairs:
        """As a URL has it. Raises RequestError if both beginnings are given."""
        if self.cursor is not None and self.start_after is not None:
            raise RequestError("Both cursor and start_after are given. Give one of them.")
        return query_of(
            namespace=self.namespace,
            prefix=self.prefix or None,
            cursor=self.cursor,
            start_after=self.start_after,
        )


def page(listed: Listed, limit: int, *, keys_only: bool = False) -> Request:
    """One page of a listing, of at most `limit` entries or keys."""
    query = query_of(limit=limit, values="false" if keys_only else None)
    return Request("GET", "/entries", listed.query() + query, safe=True, timed=False)


def count_page(listed: Listed) -> Request:
    """How many entries there are, as far as the server gets in one request."""
    return Request("GET", "/entries/count", listed.query(), safe=True, timed=False)


def clear_page(listed: Listed, confirm: str) -> Request:
    """Delete the entries, as far as the server gets in one request. `confirm` repeats the prefix,
    or where that is empty, the namespace's name."""
    # The query names the prefix even if it is empty.
    query = query_of(prefix=listed.prefix, confirm=confirm)
    rest = listed._replace(prefix="").query()
    return Request("DELETE", "/entries", query + rest)


def status() -> Request:
    """The cluster as a node sees it."""
    return Request("GET", "/status", safe=True, timed=False)


def accept_clock() -> Request:
    """Take the clock of a node for right."""
    return Request("POST", "/clock/accept", safe=True, timed=False)


def ring() -> Request:
    """Who owns what."""
    return Request("GET", "/ring", safe=True, timed=False)


def begin_repair(
    namespace: str | None, partition: int | None, key: str | None, *, full: bool
) -> Request:
    """Have replicas compared and made equal."""
    body = body_of(namespace=namespace, partition=partition, key=key, full=full or None)
    # Replicas that are compared twice are as equal as before.
    return Request("POST", "/repair", body=body, safe=True, timed=False)


def repair_progress(number: str) -> Request:
    """How far a repair is."""
    return Request("GET", f"/repair/{number}", safe=True, timed=False)


def locate(key: str, namespace: str | None) -> Request:
    """Where a key lives. Raises InvalidKey."""
    path, named = _place("locate", key)
    return Request("GET", path, named + query_of(namespace=namespace), safe=True, timed=False)


def _renewed(version: str | None, lifetime: Lifetime) -> _PutMetadata:
    return _metadata(version, Lifetime(*checked_renewal(*lifetime)))


def _metadata(
    version: str | None, lifetime: Lifetime, text: JsonText | None = None
) -> _PutMetadata:
    encoding = "base64" if text and text.binary else None
    media_type = text.content_type if text else None
    ttl, expires_at = checked_lifetime(*lifetime)
    shown = msgspec.UNSET if ttl is None else ttl or None
    return _PutMetadata(version, encoding, media_type, shown, expires_at)


def _place(root: str, key: str) -> tuple[str, Pairs]:
    """The path of what is at `key`, and what its query has to begin with."""
    text = encode_key(key)
    if key in _DOT_SEGMENTS:
        return f"/{root}", (("key", key),)
    return f"/{root}/{quote(text, safe='')}", ()


def query_of(**options: str | int | None) -> Pairs:
    """The options that are given."""
    return tuple((name, str(value)) for name, value in options.items() if value is not None)


def body_of(**members: Any) -> bytes:
    """The JSON object of the members that are given."""
    return _encode({name: value for name, value in members.items() if value is not None})

"""The namespaces of this node:

    GET    /namespaces           all of them, the version of their list, what is still being deleted
    GET    /namespaces/{name}    the settings of one
    PUT    /namespaces/{name}    {"settings": {...}, "version": int?, "check_only": bool?}
                                 make it, or alter it; or only say whether that could be
    DELETE /namespaces/{name}    {"before_ms": int?, "version": int?}
                                 end it, with all in it

Each node is asked by itself; `kvorum namespace` asks them all. Settings are named as in the cluster
file. Those that are left out are the usual ones of a namespace that is made, and stay as they are
of one that is altered. With a `version`, nothing is changed unless the list has that one.

The answer to DELETE comes when nobody can read any more what was in the namespace; where it lay
open on the disk, its records are being deleted from then on, and its name is free once they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from kvorum.api.entry_body import decode_object
from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import checked_namespace, parse_query
from kvorum.model.catalog import Catalog
from kvorum.model.errors import StorageError

NAMESPACE_PATH: Final = b"/namespaces/"
NAMESPACE_BODY_BYTES: Final = 16 << 10

_NO_QUERY: Final[frozenset[str]] = frozenset()
_CREATED: Final = 201

_encode: Final = msgspec.json.Encoder().encode


class Namespaces(Protocol):
    """The namespaces of a node."""

    @property
    def catalog(self) -> Catalog: ...

    def document(self) -> Any:
        """All of them, as msgspec can encode it."""

    def put(self, name: str, fields: dict[str, Any], version: int | None, /) -> bool:
        """True if it was made. Raises a KvorumError; then nothing was changed."""

    def check(self, name: str, fields: dict[str, Any], version: int | None, /) -> None:
        """Raises what `put` would raise."""

    def drop(
        self,
        name: str,
        before_ms: int | None,
        version: int | None,
        done: Callable[[StorageError | None], object],
        /,
    ) -> None:
        """`done(error)` once it is for good. Raises a KvorumError; then nothing was changed."""


class PutBody(msgspec.Struct, forbid_unknown_fields=True):
    settings: dict[str, Any] = {}
    version: int | None = None
    check_only: bool = False


class DropBody(msgspec.Struct, forbid_unknown_fields=True):
    before_ms: int | None = None
    version: int | None = None


_put_body: Final = msgspec.json.Decoder(PutBody)
_drop_body: Final = msgspec.json.Decoder(DropBody)


class NamespaceHandlers:
    __slots__ = ("_namespaces",)

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    def overview(self, exchange: Exchange) -> None:
        parse_query(exchange.query, _NO_QUERY)
        exchange.respond(200, _encode(self._namespaces.document()))

    def settings(self, exchange: Exchange) -> None:
        name = _name(exchange)
        exchange.respond(200, self._shown(name))

    def put(self, exchange: Exchange) -> None:
        name = _name(exchange)
        body = decode_object(_put_body, exchange.body or b"{}")
        if body.check_only:
            self._namespaces.check(name, body.settings, body.version)
            exchange.respond(200, _encode({"namespace": name, "possible": True}))
            return
        made = self._namespaces.put(name, body.settings, body.version)
        exchange.respond(_CREATED if made else 200, self._shown(name))

    def drop(self, exchange: Exchange) -> None:
        name = _name(exchange)
        body = decode_object(_drop_body, exchange.body or b"{}")

        def dropped(error: StorageError | None) -> None:
            if error is not None:
                exchange.refuse(error)
            else:
                version = self._namespaces.catalog.version
                exchange.respond(200, _encode({"namespace": name, "version": version}))

        self._namespaces.drop(name, body.before_ms, body.version, dropped)

    def _shown(self, name: str) -> bytes:
        catalog = self._namespaces.catalog
        settings = catalog.settings(name)
        return _encode({"namespace": name, "version": catalog.version, "settings": settings})


def _name(exchange: Exchange) -> str:
    parse_query(exchange.query, _NO_QUERY)
    name = exchange.path[len(NAMESPACE_PATH) :].decode("ascii", "backslashreplace")
    return checked_namespace(name)

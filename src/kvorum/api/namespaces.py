"""The namespaces of this node:

    GET    /namespaces           all of them, the version of their list, what was dropped and when,
                                 what of that is still being deleted
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

from typing import Any, Final

import msgspec

from kvorum.api.entry_body import decode_object
from kvorum.api.http.exchange import Exchange
from kvorum.api.node_answers import answer, refuse_parameters
from kvorum.api.parameters import namespace_of
from kvorum.documents.namespaces import DroppedNamespace, PossibleNamespace
from kvorum.model.errors import StorageError
from kvorum.service.administration import Administration

NAMESPACE_PATH: Final = b"/namespaces/"
NAMESPACE_BODY_BYTES: Final = 16 << 10

_CREATED: Final = 201


class PutBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PUT /namespaces/{name}."""

    settings: dict[str, Any] = {}
    version: int | None = None
    check_only: bool = False


class DropBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of DELETE /namespaces/{name}."""

    before_ms: int | None = None
    version: int | None = None


_put_body: Final = msgspec.json.Decoder(PutBody)
_drop_body: Final = msgspec.json.Decoder(DropBody)


class NamespaceHandlers:
    """The handlers of namespaces."""

    def __init__(self, node: Administration) -> None:
        self._node = node

    def settings(self, exchange: Exchange) -> None:
        """GET /namespaces/{name}"""
        name = _name(exchange)
        answer(exchange, self._node.namespace(exchange.principal, name))

    def put(self, exchange: Exchange) -> None:
        """PUT /namespaces/{name}"""
        name, principal = _name(exchange), exchange.principal
        body = decode_object(_put_body, exchange.body or b"{}")
        if body.check_only:
            self._node.check_namespace(principal, name, body.settings, body.version)
            answer(exchange, PossibleNamespace(namespace=name))
            return
        made, shown = self._node.set_namespace(principal, name, body.settings, body.version)
        answer(exchange, shown, _CREATED if made else 200)

    def drop(self, exchange: Exchange) -> None:
        """DELETE /namespaces/{name}"""
        name = _name(exchange)
        body = decode_object(_drop_body, exchange.body or b"{}")

        def dropped(result: DroppedNamespace | StorageError) -> None:
            if isinstance(result, StorageError):
                exchange.refuse(result)
            else:
                answer(exchange, result)

        self._node.drop_namespace(exchange.principal, name, body.before_ms, body.version, dropped)


def _name(exchange: Exchange) -> str:
    refuse_parameters(exchange)
    return namespace_of(exchange.path[len(NAMESPACE_PATH) :])

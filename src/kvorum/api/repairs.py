"""Repairs on demand: POST /repair, GET /repair/{id}, GET /repair.

A repair goes on after it was asked for: the answer to POST is 202 with its id, by which its
progress is asked, at the same node. Its body says what to repair; everything, if nothing:

    {"namespace": string?, "partition": int?, "key": string?, "full": bool?}
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvorum.api.entry_body import decode_object
from kvorum.api.http.exchange import Exchange
from kvorum.api.node_answers import ACCEPTED, answer, refuse_parameters
from kvorum.api.parameters import checked_namespace
from kvorum.model.errors import NotFound
from kvorum.service.administration import Administration

REPAIR_PATH: Final = b"/repair/"
REPAIR_BODY_BYTES: Final = 16 << 10

_UNKNOWN_ID: Final = (
    "Ask the node that answered POST /repair, which knows its last repairs since its start: "
    "GET /repair lists them."
)


class RepairBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /repair."""

    namespace: str | None = None
    partition: int | None = None
    key: str | None = None
    full: bool = False


_body: Final = msgspec.json.Decoder(RepairBody)


class RepairHandlers:
    """The handlers of repairs."""

    def __init__(self, node: Administration) -> None:
        self._node = node

    def begin(self, exchange: Exchange) -> None:
        """POST /repair"""
        refuse_parameters(exchange)
        body = decode_object(_body, exchange.body or b"{}")
        if body.namespace is not None:
            checked_namespace(body.namespace)
        principal = exchange.principal
        run = self._node.begin_repair(
            principal, body.namespace, body.partition, body.key, full=body.full
        )
        answer(exchange, run, ACCEPTED)

    def progress(self, exchange: Exchange) -> None:
        """GET /repair/{id}"""
        refuse_parameters(exchange)
        number = exchange.path[len(REPAIR_PATH) :].decode("ascii", "backslashreplace")
        try:
            run = self._node.repair(exchange.principal, number)
        except NotFound as error:
            error.details["advice"] = _UNKNOWN_ID
            raise
        answer(exchange, run)

"""Snapshots of this node:

    POST   /snapshots                {"name": string?}    make one; without a name it is the time
    GET    /snapshots                                     which there are
    GET    /snapshots/{name}                              how far the last job for it is
    POST   /snapshots/{name}/verify                       read it all and compare
    DELETE /snapshots/{name}

Making, verifying and deleting go on after they were asked for: the answer is 202 with the
job's state, and its progress is asked for at the same node.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from kvorum.api.entry_body import decode_object
from kvorum.api.http.exchange import Exchange
from kvorum.api.node_answers import ACCEPTED, answer, refuse_parameters
from kvorum.model.errors import NotFound, PreconditionFailed, RequestError
from kvorum.service.administration import Administration

SNAPSHOT_PATH: Final = b"/snapshots/"
SNAPSHOT_BODY_BYTES: Final = 4 << 10

_VERIFY: Final = b"/verify"
_UNKNOWN_NAME: Final = "GET /snapshots lists those that this node has; each node has its own."
_NAME_NOT_FREE: Final = "Choose another name, or leave it out; GET /snapshots lists those taken."


class SnapshotBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /snapshots."""

    name: str | None = None


_body: Final = msgspec.json.Decoder(SnapshotBody)


class SnapshotHandlers:
    """The handlers of snapshots."""

    def __init__(self, node: Administration) -> None:
        self._node = node

    def create(self, exchange: Exchange) -> None:
        """POST /snapshots"""
        refuse_parameters(exchange)
        name = decode_object(_body, exchange.body or b"{}").name
        with _advised():
            job = self._node.create_snapshot(exchange.principal, name)
        answer(exchange, job, ACCEPTED)

    def progress(self, exchange: Exchange) -> None:
        """GET /snapshots/{name}"""
        with _advised():
            job = self._node.snapshot(exchange.principal, _name(exchange))
        answer(exchange, job)

    def delete(self, exchange: Exchange) -> None:
        """DELETE /snapshots/{name}"""
        with _advised():
            job = self._node.delete_snapshot(exchange.principal, _name(exchange))
        answer(exchange, job, ACCEPTED)

    def verify(self, exchange: Exchange) -> None:
        """POST /snapshots/{name}/verify"""
        if not exchange.path.endswith(_VERIFY):
            raise RequestError("POST is for /snapshots and /snapshots/{name}/verify.")
        exchange.path = exchange.path.removesuffix(_VERIFY)
        with _advised():
            job = self._node.verify_snapshot(exchange.principal, _name(exchange))
        answer(exchange, job, ACCEPTED)


@contextmanager
def _advised() -> Iterator[None]:
    """What codes advise that are about entries elsewhere."""
    try:
        yield
    except NotFound as error:
        error.details["advice"] = _UNKNOWN_NAME
        raise
    except PreconditionFailed as error:
        error.details["advice"] = _NAME_NOT_FREE
        raise


def _name(exchange: Exchange) -> str:
    refuse_parameters(exchange)
    return exchange.path[len(SNAPSHOT_PATH) :].decode("ascii", "backslashreplace")

"""Lists of keys, and what is done to each of them:

    POST   /entries/get      {"keys": [string, ...], "namespace": string?}     read
    DELETE /entries          the same; also POST /entries/delete, since      delete
                             some clients and proxies drop the body of a DELETE
    POST   /entries/touch    the same with "metadata": {"ttl" or "expiresAt"}  give another lifetime

Answers list the keys in their order, each with its own status. With ?values=false a read shows all
but the value; so do the other two always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from kvorum.api.batch import Batch, Operation, refused
from kvorum.api.bounded_list import body_decoder, bounded_list, items_of
from kvorum.api.conditions import refuse_conditions
from kvorum.api.entry_body import Lifespan, decode_object, lifetime_given
from kvorum.api.entry_replies import not_found
from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import Options, checked_namespace, parse_query
from kvorum.listener.unread_answers import LARGE_ANSWER_BYTES
from kvorum.model.errors import KvorumError
from kvorum.model.request import Answer, Delete, Get, Request, Touch
from kvorum.service.version_string import subject_of

_GET_QUERY: Final = frozenset({"r", "timeout_ms", "quorum", "values"})
_CHANGE_QUERY: Final = frozenset({"w", "timeout_ms", "quorum"})

_encode: Final = msgspec.json.Encoder().encode

Make = Callable[[str, str], Request]
"""The request for a namespace and a key."""


class KeyListHandlers:
    """The handlers of lists of keys."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        keys = ("keys", bounded_list(str, gateway.limits.list_items))
        namespace = ("namespace", str | None, None)
        self._keys = body_decoder(keys, namespace)
        self._touch = body_decoder(keys, ("metadata", Lifespan), namespace)

    def get(self, exchange: Exchange) -> None:
        """POST /entries/get"""
        exchange.answers.check_room(LARGE_ANSWER_BYTES)
        options = parse_query(exchange.query, _GET_QUERY)
        body = decode_object(self._keys, exchange.body)
        r, timeout_ms, quorum = options.r, options.timeout_ms, options.quorum

        def make(space: str, key: str) -> Get:
            return Get(space, key, r, timeout_ms, quorum)

        show = self._show_found if options.values else self._show_metadata
        Batch(exchange, self._gateway, _items(body, options, make), show).start()

    def delete(self, exchange: Exchange) -> None:
        """POST /entries/delete"""
        self.delete_with(exchange, parse_query(exchange.query, _CHANGE_QUERY))

    def delete_with(self, exchange: Exchange, options: Options) -> None:
        """Delete what the body names; `options` are those of the query."""
        refuse_conditions(exchange.fields)
        body = decode_object(self._keys, exchange.body)
        w, timeout_ms, quorum = options.w, options.timeout_ms, options.quorum

        def make(space: str, key: str) -> Delete:
            return Delete(space, key, w=w, timeout_ms=timeout_ms, quorum=quorum)

        Batch(exchange, self._gateway, _items(body, options, make), self._show_deleted).start()

    def touch(self, exchange: Exchange) -> None:
        """POST /entries/touch"""
        refuse_conditions(exchange.fields)
        options = parse_query(exchange.query, _CHANGE_QUERY)
        body = decode_object(self._touch, exchange.body)
        ttl, expires = lifetime_given(body.metadata)
        w, timeout_ms, quorum = options.w, options.timeout_ms, options.quorum

        def make(space: str, key: str) -> Touch:
            return Touch(space, key, ttl, expires, w=w, timeout_ms=timeout_ms, quorum=quorum)

        Batch(exchange, self._gateway, _items(body, options, make), self._show_metadata).start()

    def _show_found(self, operation: Operation, answer: Answer) -> bytes:
        if not answer.record.versions:
            raise not_found(self._gateway, operation.subject, answer)
        presenter, record = self._gateway.presenter, answer.record
        return presenter.found(_opening(operation), operation.subject, record, answer.hinted)[1]

    def _show_metadata(self, operation: Operation, answer: Answer) -> bytes:
        if not answer.record.versions:
            raise not_found(self._gateway, operation.subject, answer)
        presenter, record = self._gateway.presenter, answer.record
        return presenter.described(_opening(operation), operation.subject, record, answer.hinted)

    def _show_deleted(self, operation: Operation, answer: Answer) -> bytes:
        if answer.record.versions:
            return self._show_metadata(operation, answer)
        presenter = self._gateway.presenter
        return presenter.unread(_opening(operation), operation.subject, answer.record)


def _opening(operation: Operation) -> bytes:
    return b'{"status":200,' + operation.label


def _items(body: Any, options: Options, make: Make) -> list[Operation | bytes]:
    """An operation for each key of `body`, or why there is none. Raises RequestError."""
    space = options.namespace if body.namespace is None else checked_namespace(body.namespace)
    items: list[Operation | bytes] = []
    for key in items_of(body.keys):
        label = b'"key":%b,' % _encode(key)
        try:
            items.append(Operation(make(space, key), subject_of(space, key), label))
        except KvorumError as error:
            items.append(refused(error, label))
    return items

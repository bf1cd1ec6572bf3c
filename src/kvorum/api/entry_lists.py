"""Many entries: POST /entries stores, POST /entries/get reads; GET /entries lists all, or those
whose keys begin with a prefix, a page at a time, and GET /entries/count counts them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvorum.api.batch import Batch, Operation, refused
from kvorum.api.bounded_list import body_decoder, bounded_list, items_of
from kvorum.api.conditions import refuse_conditions
from kvorum.api.entries import not_found
from kvorum.api.entry_body import decode_entry, decode_object, value_of
from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import Options, checked_namespace, parse_query
from kvorum.api.pending import PendingPage
from kvorum.listener.unread_answers import LARGE_ANSWER_BYTES
from kvorum.model.errors import KvorumError
from kvorum.model.request import ANY, Answer, Get, Listing, Put
from kvorum.model.topology import DEFAULT_NAMESPACE
from kvorum.service.version_string import subject_of

_PUT_QUERY: Final = frozenset({"namespace", "w", "timeout_ms", "quorum"})
_GET_QUERY: Final = frozenset({"r", "timeout_ms", "quorum"})
_COUNT_QUERY: Final = frozenset({"cursor", "namespace", "prefix", "start_after"})
_PAGE_QUERY: Final = _COUNT_QUERY | {"limit", "values"}

_encode: Final = msgspec.json.Encoder().encode


class EntryListHandlers:
    """The handlers of lists of entries."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        most = gateway.limits.list_items
        self._entries = body_decoder(("entries", bounded_list(msgspec.Raw, most)))
        self._keys = body_decoder(
            ("keys", bounded_list(str, most)), ("namespace", str | None, None)
        )

    def put_many(self, exchange: Exchange) -> None:
        """POST /entries"""
        refuse_conditions(exchange.fields)
        options = parse_query(exchange.query, _PUT_QUERY)
        texts = items_of(decode_object(self._entries, exchange.body).entries)
        items: list[Operation | bytes] = []
        for text in texts:
            try:
                items.append(self._put(bytes(text), options))
            except KvorumError as error:
                items.append(refused(error))
        Batch(exchange, self._gateway, items, self._show_written).start()

    def get_many(self, exchange: Exchange) -> None:
        """POST /entries/get"""
        exchange.answers.check_room(LARGE_ANSWER_BYTES)
        options = parse_query(exchange.query, _GET_QUERY)
        body = decode_object(self._keys, exchange.body)
        space = DEFAULT_NAMESPACE if body.namespace is None else checked_namespace(body.namespace)
        items: list[Operation | bytes] = []
        for key in items_of(body.keys):
            label = b'"key":%b,' % _encode(key)
            try:
                subject = subject_of(space, key)
            except KvorumError as error:
                items.append(refused(error, label))
            else:
                request = Get(space, key, options.r, options.timeout_ms, options.quorum)
                items.append(Operation(request, subject, label))
        Batch(exchange, self._gateway, items, self._show_found).start()

    def page(self, exchange: Exchange) -> None:
        """GET /entries"""
        gateway = self._gateway
        options = parse_query(exchange.query, _PAGE_QUERY)
        page = _EntryPage if options.values else _KeyPage
        selection = gateway.selection(options, "entries" if options.values else "keys")
        page.begin(exchange, gateway, gateway.service.scan, selection)

    def count(self, exchange: Exchange) -> None:
        """GET /entries/count"""
        gateway = self._gateway
        selection = gateway.selection(parse_query(exchange.query, _COUNT_QUERY), "count")
        _CountPage.begin(exchange, gateway, gateway.service.scan, selection)

    def _put(self, text: bytes, options: Options) -> Operation:
        entry = decode_entry(text)
        space = entry.namespace or options.namespace
        key = entry.key_given()
        subject = subject_of(space, key)
        kind, value = value_of(entry, self._gateway.service.limits)
        stated = entry.value_version
        seen = None if stated is None else self._gateway.service.versions.read(subject, stated)
        ttl, expires = entry.lifetime
        w, timeout_ms, quorum = options.w, options.timeout_ms, options.quorum
        request = Put(space, key, kind, value, seen, ANY, w, timeout_ms, quorum, ttl, expires)
        return Operation(request, subject)

    def _show_written(self, operation: Operation, answer: Answer) -> bytes:
        opening = b'{"status":201,' if answer.created else b'{"status":200,'
        presenter, subject = self._gateway.presenter, operation.subject
        return presenter.written(opening, subject, answer.record, answer.hinted)[1]

    def _show_found(self, operation: Operation, answer: Answer) -> bytes:
        record = answer.record
        if not record.versions:
            raise not_found(self._gateway, operation.subject, answer)
        opening = b'{"status":200,' + operation.label
        presenter = self._gateway.presenter
        return presenter.found(opening, operation.subject, record, answer.hinted)[1]


class _ListPage(PendingPage):
    __slots__ = ()

    def _show(self, listed: bytes, result: Listing) -> None:
        """Answer with `listed`, a member of the object, and what all pages say."""
        cursor, seal = b"null", self._gateway.service.cursors.seal
        if result.cursor:
            cursor = _encode(seal(self._subject, result.cursor))
        unreadable = b',"unreadable":%b' % _encode(result.unreadable) if result.unreadable else b""
        self._respond(b'{%b,"cursor":%b%b}' % (listed, cursor, unreadable))


class _KeyPage(_ListPage):
    __slots__ = ()

    def answer(self, result: Listing) -> None:
        self._show(b'"keys":%b' % _encode(result.keys), result)


class _CountPage(_ListPage):
    __slots__ = ()

    def answer(self, result: Listing) -> None:
        self._show(b'"count":%d' % result.count, result)


class _EntryPage(_ListPage):
    __slots__ = ()

    def answer(self, result: Listing) -> None:
        gateway, space = self._gateway, self._subject.decode()
        entries = []
        for key, record in result.entries:
            if record.versions:
                subject = subject_of(space, key)
                opening = b'{"key":%b,' % _encode(key)
                entries.append(gateway.presenter.found(opening, subject, record)[1])
        self._show(b'"entries":[%b]' % b",".join(entries), result)

"""Records as they are, with their versions: what a restore or a faithful import stores.

    POST /records?w=N    {"records": [{"key", "record", "namespace"?}, ...]}
                         {"records": [{"status": 200} or {"status", "error"}, ...]}
    GET  /records        ?namespace&cursor&limit
                         {"records": [{"key", "record"}, ...], "cursor"?, "unreadable"?}

`record` is base64 of a portable record (`model/portable_record.py`). It is merged into what the
owners hold, so storing one twice does no harm, and one that is older changes nothing.
"""

from __future__ import annotations

import binascii
from typing import Final

import msgspec

from kvorum.api.batch import refused
from kvorum.api.bounded_list import body_decoder, bounded_list, items_of
from kvorum.api.entry_body import decode_object
from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import checked_namespace, parse_query
from kvorum.api.pending import PendingPage
from kvorum.model.errors import InvalidValue, KvorumError
from kvorum.model.portable_record import from_portable, to_portable
from kvorum.model.record import Record
from kvorum.model.request import Failure, Listing, Result
from kvorum.model.topology import DEFAULT_NAMESPACE

RECORDS_BODY_BYTES: Final = 64 << 20
"""Room, in base64, for what several sides of a partition have each taken of one key."""

_PUT_QUERY: Final = frozenset({"w"})
_PAGE_QUERY: Final = frozenset({"cursor", "limit", "namespace"})
_STORED: Final = b'{"status":200}'

_encode: Final = msgspec.json.Encoder().encode


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    record: str
    namespace: str = DEFAULT_NAMESPACE


class _Shown(msgspec.Struct):
    key: str
    record: bytes


class RecordHandlers:
    """The handlers of records with their versions."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        most = gateway.limits.list_items
        self._body = body_decoder(("records", bounded_list(msgspec.Raw, most)))

    def put_many(self, exchange: Exchange) -> None:
        """POST /records"""
        w = parse_query(exchange.query, _PUT_QUERY).w
        texts = items_of(decode_object(self._body, exchange.body).records)
        storing = _Storing(exchange, self._gateway, len(texts))
        for place, text in enumerate(texts):
            try:
                item = decode_object(_item, bytes(text))
                storing.begin(place, item, _record(item), w)
            except KvorumError as error:
                storing.refuse(place, error)
        storing.settle()

    def page(self, exchange: Exchange) -> None:
        """GET /records"""
        gateway = self._gateway
        selection = gateway.selection(parse_query(exchange.query, _PAGE_QUERY))
        _Page.begin(exchange, gateway, gateway.service.export, selection)


class _Storing:
    """The outcomes of one list; answered once all are there."""

    def __init__(self, exchange: Exchange, gateway: Gateway, count: int) -> None:
        """Raises Overloaded."""
        self._places = gateway.service.reserve(exchange.principal, count, count)
        self._exchange = exchange
        self._outcomes = [_STORED] * count
        # One more than there are, until all have been begun.
        self._left = count + 1

    def begin(self, place: int, item: _Item, record: Record, w: int) -> None:
        """Raises AccessDenied."""
        reply = _Waiting(self, place).settle
        principal = self._exchange.principal
        self._places.ingest(principal, item.namespace, item.key, record, w, reply)

    def refuse(self, place: int, error: KvorumError) -> None:
        self._outcomes[place] = refused(error)
        self.settle()

    def settle(self) -> None:
        self._left -= 1
        if not self._left:
            self._places.release()
            self._exchange.respond(200, b'{"records":[%b]}' % b",".join(self._outcomes))


class _Waiting:
    __slots__ = ("_place", "_storing")

    def __init__(self, storing: _Storing, place: int) -> None:
        self._storing = storing
        self._place = place

    def settle(self, result: Result) -> None:
        if isinstance(result, Failure):
            self._storing.refuse(self._place, result.error())
        else:
            self._storing.settle()


class _Page(PendingPage):
    __slots__ = ()

    def answer(self, result: Listing) -> None:
        shown = [_Shown(key, to_portable(key, record)) for key, record in result.entries]
        document: dict[str, object] = {"records": shown}
        if result.cursor:
            document["cursor"] = self._gateway.service.cursors.seal(self._subject, result.cursor)
        if result.unreadable:
            document["unreadable"] = result.unreadable
        self._respond(_encode(document))


_item: Final = msgspec.json.Decoder(_Item)


def _record(item: _Item) -> Record:
    checked_namespace(item.namespace)
    try:
        data = binascii.a2b_base64(item.record, strict_mode=True)
    except ValueError as error:
        raise InvalidValue(f"The record is not base64: {error}.") from error
    return from_portable(item.key, data)

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
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from kvorum.api.batch import refused
from kvorum.api.bounded_list import bounded_list, items_of
from kvorum.api.entry_body import decode_object
from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import checked_namespace, parse_query
from kvorum.api.pending import PendingPage
from kvorum.api.seal import Forged
from kvorum.model.errors import InvalidValue, KvorumError, RequestError
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


class Records(Protocol):
    def ingest(
        self,
        namespace: str,
        key: str,
        record: Record,
        w: int,
        reply: Callable[[Result], object],
        /,
    ) -> None:
        """Merge `record` into the owners of `key`; `w` of 0 is the namespace's."""


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    record: str
    namespace: str = DEFAULT_NAMESPACE


class _Shown(msgspec.Struct):
    key: str
    record: bytes


class RecordHandlers:
    __slots__ = ("_body", "_gateway", "_records")

    def __init__(self, gateway: Gateway, records: Records) -> None:
        self._gateway = gateway
        self._records = records
        members = [("records", bounded_list(msgspec.Raw, gateway.limits.list_items))]
        self._body: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct("Body", members, forbid_unknown_fields=True)
        )

    def put_many(self, exchange: Exchange) -> None:
        w = parse_query(exchange.query, _PUT_QUERY).w
        texts = items_of(decode_object(self._body, exchange.body).records)
        storing = _Storing(exchange, self._gateway, len(texts))
        for place, text in enumerate(texts):
            try:
                item = decode_object(_item, bytes(text))
                record = _record(item)
            except KvorumError as error:
                storing.refuse(place, error)
            else:
                space = item.namespace
                self._records.ingest(space, item.key, record, w, _Waiting(storing, place).settle)
        storing.settle()

    def page(self, exchange: Exchange) -> None:
        gateway = self._gateway
        options = parse_query(exchange.query, _PAGE_QUERY)
        space = options.namespace
        after = b""
        if options.cursor is not None:
            try:
                after = gateway.cursors.open(space.encode(), options.cursor)
            except Forged as error:
                raise RequestError(
                    "wanted a cursor that an earlier page of this namespace gave, got another text"
                ) from error
        limit = options.limit or gateway.limits.page_entries
        gateway.coordinator.scan(
            space, after, limit, _Page(exchange, gateway, space.encode()).settle
        )


class _Storing:
    """The outcomes of one list; answered once all are there."""

    __slots__ = ("_exchange", "_gateway", "_left", "_outcomes")

    def __init__(self, exchange: Exchange, gateway: Gateway, count: int) -> None:
        """Raises Overloaded."""
        gateway.admission.enter(count)
        self._exchange = exchange
        self._gateway = gateway
        self._outcomes = [_STORED] * count
        # One more than there are, until all have been begun.
        self._left = count + 1

    def refuse(self, place: int, error: KvorumError) -> None:
        self._outcomes[place] = refused(error)
        self.settle()

    def settle(self) -> None:
        self._left -= 1
        if not self._left:
            self._gateway.admission.leave(len(self._outcomes))
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

    def _answer(self, exchange: Exchange, result: Listing) -> None:
        shown = [_Shown(key, to_portable(key, record)) for key, record in result.entries]
        document: dict[str, object] = {"records": shown}
        if result.cursor:
            document["cursor"] = self._gateway.cursors.seal(self._subject, result.cursor)
        if result.unreadable:
            document["unreadable"] = result.unreadable
        self._respond(exchange, _encode(document))


_item: Final = msgspec.json.Decoder(_Item)


def _record(item: _Item) -> Record:
    checked_namespace(item.namespace)
    try:
        data = binascii.a2b_base64(item.record, strict_mode=True)
    except ValueError as error:
        raise InvalidValue(f"wanted a record in base64: {error}") from error
    return from_portable(item.key, data)

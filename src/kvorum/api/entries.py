"""One entry: POST /entry; GET, PUT, PATCH and DELETE /entry/{key} or /entry?key=."""

from __future__ import annotations

from typing import Final

from kvorum.api.conditions import write_condition
from kvorum.api.entry_body import check_utf8, decode_entry, decode_touch, value_of
from kvorum.api.entry_replies import RawRead, Read, Removal, Write
from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import NO_OPTIONS, key_of, parse_query
from kvorum.api.raw_values import value_sent
from kvorum.model.request import Delete, Get, Put, Touch
from kvorum.model.topology import DEFAULT_NAMESPACE
from kvorum.service.version_string import subject_of

ENTRY_PATH: Final = b"/entry/"
TOUCH_BODY_BYTES: Final = 64 << 10

_GET_QUERY: Final = frozenset({"key", "namespace", "r", "timeout_ms", "quorum", "raw"})
_POST_QUERY: Final = frozenset({"key", "w", "timeout_ms", "quorum"})
_PUT_QUERY: Final = frozenset(
    {"key", "namespace", "valueVersion", "ttl", "expires_at", "w", "timeout_ms", "quorum"}
)
_PATCH_QUERY: Final = frozenset({"key", "namespace", "w", "timeout_ms", "quorum"})
_DELETE_QUERY: Final = frozenset({"key", "namespace", "valueVersion", "w", "timeout_ms", "quorum"})


class EntryHandlers:
    """The handlers of one entry."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._service = gateway.service

    def get(self, exchange: Exchange) -> None:
        """GET /entry/{key}"""
        options = parse_query(exchange.query, _GET_QUERY) if exchange.query else NO_OPTIONS
        key = key_of(exchange.path[len(ENTRY_PATH) :], options)
        space = options.namespace
        reply = RawRead if options.raw else Read
        waiting = reply(exchange, self._gateway, subject_of(space, key))
        request = Get(space, key, options.r, options.timeout_ms, options.quorum)
        self._service.submit(exchange.principal, request, waiting)

    def post(self, exchange: Exchange) -> None:
        """POST /entry"""
        options = parse_query(exchange.query, _POST_QUERY) if exchange.query else NO_OPTIONS
        check_utf8(exchange.body)
        entry = decode_entry(exchange.body)
        space, key = entry.namespace or DEFAULT_NAMESPACE, entry.key_given(options.key)
        subject = subject_of(space, key)
        kind, value = value_of(entry, self._service.limits)
        seen, expect = write_condition(
            exchange.fields, entry.value_version, subject, self._service.versions
        )
        ttl, expires = entry.lifetime
        waiting = Write(exchange, self._gateway, subject)
        w, timeout_ms, quorum = options.w, options.timeout_ms, options.quorum
        request = Put(space, key, kind, value, seen, expect, w, timeout_ms, quorum, ttl, expires)
        self._service.submit(exchange.principal, request, waiting)

    def put(self, exchange: Exchange) -> None:
        """PUT /entry/{key}"""
        options = parse_query(exchange.query, _PUT_QUERY)
        key = key_of(exchange.path[len(ENTRY_PATH) :], options)
        space = options.namespace
        subject = subject_of(space, key)
        kind, value = value_sent(exchange.fields, exchange.body, self._service.limits)
        seen, expect = write_condition(
            exchange.fields, options.version, subject, self._service.versions
        )
        ttl, expires = options.lifetime
        waiting = Write(exchange, self._gateway, subject)
        w, timeout_ms, quorum = options.w, options.timeout_ms, options.quorum
        request = Put(space, key, kind, value, seen, expect, w, timeout_ms, quorum, ttl, expires)
        self._service.submit(exchange.principal, request, waiting)

    def patch(self, exchange: Exchange) -> None:
        """PATCH /entry/{key}"""
        options = parse_query(exchange.query, _PATCH_QUERY)
        key = key_of(exchange.path[len(ENTRY_PATH) :], options)
        space = options.namespace
        subject = subject_of(space, key)
        check_utf8(exchange.body)
        lifetime = decode_touch(exchange.body)
        ttl, expires = lifetime.asked
        seen, expect = write_condition(
            exchange.fields, lifetime.value_version, subject, self._service.versions
        )
        waiting = Write(exchange, self._gateway, subject)
        w, timeout_ms, quorum = options.w, options.timeout_ms, options.quorum
        request = Touch(space, key, ttl, expires, seen, expect, w, timeout_ms, quorum)
        self._service.submit(exchange.principal, request, waiting)

    def delete(self, exchange: Exchange) -> None:
        """DELETE /entry/{key}"""
        options = parse_query(exchange.query, _DELETE_QUERY)
        key = key_of(exchange.path[len(ENTRY_PATH) :], options)
        space = options.namespace
        subject = subject_of(space, key)
        seen, expect = write_condition(
            exchange.fields, options.version, subject, self._service.versions
        )
        waiting = Removal(exchange, self._gateway, subject)
        w, timeout_ms = options.w, options.timeout_ms
        request = Delete(space, key, seen, expect, w, timeout_ms, options.quorum)
        self._service.submit(exchange.principal, request, waiting)

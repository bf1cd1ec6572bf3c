"""One entry: POST /entry; GET, PATCH and DELETE /entry/{key} or /entry?key=."""

from __future__ import annotations

from typing import Final

from kvorum.api.conditions import read_status, write_condition
from kvorum.api.entry_body import check_utf8, decode_entry, decode_touch, value_of
from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.parameters import NO_OPTIONS, key_of, parse_query
from kvorum.api.pending import Pending
from kvorum.model.errors import NotFound, PreconditionFailed
from kvorum.model.request import Answer, Delete, Get, Put, Touch, tell_hinted
from kvorum.model.topology import DEFAULT_NAMESPACE
from kvorum.service.version_string import key_in, subject_of

ENTRY_PATH: Final = b"/entry/"
TOUCH_BODY_BYTES: Final = 64 << 10

_GET_QUERY: Final = frozenset({"key", "namespace", "r", "timeout_ms", "quorum"})
_POST_QUERY: Final = frozenset({"key", "w", "timeout_ms", "quorum"})
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
        waiting = _Read(exchange, self._gateway, subject_of(space, key))
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
        waiting = _Write(exchange, self._gateway, subject)
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
        waiting = _Write(exchange, self._gateway, subject)
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
        waiting = _Removal(exchange, self._gateway, subject)
        w, timeout_ms = options.w, options.timeout_ms
        request = Delete(space, key, seen, expect, w, timeout_ms, options.quorum)
        self._service.submit(exchange.principal, request, waiting)


class _Read(Pending[Answer]):
    __slots__ = ()

    def answer(self, result: Answer) -> None:
        record, exchange = result.record, self._exchange
        if not record.versions:
            raise not_found(self._gateway, self._subject, result)
        version, body = self._gateway.presenter.found(b"{", self._subject, record, result.hinted)
        fields = exchange.fields
        status = 200 if len(fields) == 1 else read_status(fields, version)
        if status == 200:
            exchange.respond(200, body, _etag(version))
        elif status == 304:
            exchange.not_modified(_etag(version))
        else:
            error = PreconditionFailed("The entry is at another version than the one in If-Match.")
            tell_hinted(error, result.hinted)
            raise error


class _Write(Pending[Answer]):
    __slots__ = ()

    def answer(self, result: Answer) -> None:
        presenter = self._gateway.presenter
        version, body = presenter.written(b"{", self._subject, result.record, result.hinted)
        self._exchange.respond(201 if result.created else 200, body, _etag(version))


class _Removal(Pending[Answer]):
    __slots__ = ()

    def answer(self, result: Answer) -> None:
        presenter, before = self._gateway.presenter, result.record
        if before.versions:
            _, body = presenter.found(b"{", self._subject, before, result.hinted)
        else:
            body = presenter.unread(self._subject, before)
        self._exchange.respond(200, body)


def not_found(gateway: Gateway, subject: bytes, answer: Answer) -> NotFound:
    """The error for a key without a value, with the version that a new entry can follow on."""
    error = NotFound(f"No such key: {key_in(subject).decode()!r}.")
    context = answer.record.context
    if context:
        error.details["valueVersion"] = gateway.service.versions.write(subject, context)
    tell_hinted(error, answer.hinted)
    return error


def _etag(version: str) -> bytes:
    return b'\r\nETag: "%b"' % version.encode()

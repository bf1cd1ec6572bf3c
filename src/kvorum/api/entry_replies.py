"""Answers about one entry: what a read, a write or a delete of it is answered with."""

from __future__ import annotations

from kvorum.api.conditions import read_status
from kvorum.api.gateway import Gateway
from kvorum.api.pending import Pending
from kvorum.api.raw_values import GUARDS, media_type_and_body
from kvorum.model.errors import NotFound, PreconditionFailed
from kvorum.model.record import Version
from kvorum.model.request import Answer, tell_hinted
from kvorum.service.version_string import key_in


class Read(Pending[Answer]):
    """A read, which is answered with the value as JSON, and metadata."""

    __slots__ = ()

    def answer(self, result: Answer) -> None:
        record, exchange = result.record, self._exchange
        if not record.versions:
            raise not_found(self._gateway, self._subject, result)
        version, body = self._gateway.presenter.found(b"{", self._subject, record, result.hinted)
        if len(exchange.fields) == 1 or self._is_wanted(version, result):
            exchange.respond(200, body, _etag(version))

    def _is_wanted(self, version: str, result: Answer) -> bool:
        """False if the client has this version already, which it has been told then.

        Raises PreconditionFailed.
        """
        status = read_status(self._exchange.fields, version)
        if status == 304:
            self._exchange.not_modified(_etag(version))
        elif status == 412:
            error = PreconditionFailed("The entry is at another version than the one in If-Match.")
            tell_hinted(error, result.hinted)
            raise error
        return status == 200


class RawRead(Read):
    """A read, which is answered with the latest value itself, and metadata in header fields."""

    __slots__ = ()

    def answer(self, result: Answer) -> None:
        if not result.record.versions:
            raise not_found(self._gateway, self._subject, result)
        live = result.record.live_versions()
        version = self._gateway.presenter.version(self._subject, result.record)
        if self._is_wanted(version, result):
            media_type, body = media_type_and_body(live[0])
            fields = _etag(version) + GUARDS + _metadata(live, result.hinted)
            self._exchange.respond(200, body, fields, media_type.encode("ascii"))


class Write(Pending[Answer]):
    """A write or a touch, which is answered with metadata."""

    __slots__ = ()

    def answer(self, result: Answer) -> None:
        presenter = self._gateway.presenter
        version, body = presenter.written(b"{", self._subject, result.record, result.hinted)
        self._exchange.respond(201 if result.created else 200, body, _etag(version))


class Removal(Pending[Answer]):
    """A delete, which is answered with what was deleted."""

    __slots__ = ()

    def answer(self, result: Answer) -> None:
        presenter, before = self._gateway.presenter, result.record
        if before.versions:
            _, body = presenter.found(b"{", self._subject, before, result.hinted)
        else:
            body = presenter.unread(b'{"value":null,', self._subject, before)
        self._exchange.respond(200, body)


def not_found(gateway: Gateway, subject: bytes, answer: Answer) -> NotFound:
    """The error for a key without a value, with the version that a new entry can follow on."""
    error = NotFound(f"No such key: {key_in(subject).decode()!r}.")
    context = answer.record.context
    if context:
        error.details["valueVersion"] = gateway.service.versions.write(subject, context)
    tell_hinted(error, answer.hinted)
    return error


def _metadata(live: list[Version], hinted: int) -> bytes:
    """What JSON shows beside a value, as header fields; only what is out of the ordinary."""
    fields = b""
    if len(live) > 1:
        fields += b"\r\nKvorum-Siblings: %d" % len(live)
    if live[0].expires:
        fields += b"\r\nKvorum-Expires-At: %d" % live[0].expires
    if hinted:
        fields += b"\r\nKvorum-Hints: %d" % hinted
    return fields


def _etag(version: str) -> bytes:
    return b'\r\nETag: "%b"' % version.encode()

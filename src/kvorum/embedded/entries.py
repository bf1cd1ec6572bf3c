"""Translation between what a program gives and gets and the requests and records of a node."""

from __future__ import annotations

from functools import partial
from typing import Any

from kvorum.client.answers import Result
from kvorum.client.entry import ClockEntry, Entry, Sibling
from kvorum.client.values import BYTES, JsonText, TypedBytes, decode_value, encode_value
from kvorum.model.errors import KvorumError, NotFound, RequestError
from kvorum.model.record import BINARY, JSON, TYPED, Context, Record, Version
from kvorum.model.request import ANY, EXACT, Answer, Delete, Request
from kvorum.model.typed_value import join_type, split_type
from kvorum.service.conditions import Condition
from kvorum.service.content_hash import content_hash
from kvorum.service.service import Service
from kvorum.service.version_string import subject_of


def encoded(value: Any) -> tuple[int, bytes]:
    """The kind and bytes to store: bytes as they are, or anything else as JSON. Raises
    InvalidValue."""
    if isinstance(value, BYTES):
        if isinstance(value, TypedBytes):
            return TYPED, join_type(value.content_type, value)
        return BINARY, bytes(value)
    return JSON, encode_value(value).json


def value_in(record: Record) -> Any:
    """The latest live value of a record that has one. Raises InvalidValue if Python cannot hold
    it."""
    latest = record.live_versions()[0]
    if latest.kind == JSON:
        return decode_value(latest.value, binary=False)
    return latest.value if latest.kind == BINARY else _typed(latest)


def no_such_key(key: str) -> NotFound:
    """The error for a key without a live value."""
    return NotFound(f"No such key: {key!r}.")


class Entries:
    """The translation, with the version strings and node names of `service`."""

    __slots__ = ("_service",)

    def __init__(self, service: Service) -> None:
        self._service = service

    def condition(
        self, namespace: str, key: str, version: str | None, if_version: str | None
    ) -> Condition:
        """What a write has seen, and what it expects. Raises RequestError or InvalidVersion."""
        if version is None and if_version is None:
            return None, ANY
        if version is not None and if_version is not None:
            raise RequestError("Both version and if_version are given. Give one of them.")
        text, expect = (version, ANY) if if_version is None else (if_version, EXACT)
        assert text is not None
        return self._service.versions.read(subject_of(namespace, key), text), expect

    def result(self, request: Request, answer: Answer | KvorumError) -> Result:
        """The entry that `request` is answered with, or its error: NotFound if there is none."""
        if isinstance(answer, KvorumError):
            return answer
        if answer.record.versions:
            return self.entry(request.namespace, request.key, answer.record, answer.created)
        if isinstance(request, Delete):
            return self._unread(request, answer.record)
        return no_such_key(request.key)

    def entry(self, namespace: str, key: str, record: Record, created: bool = False) -> Entry:
        """The entry of a record that has live versions."""
        return Entry.deferred(key, created, partial(self._fields, namespace, key, record))

    def _fields(self, namespace: str, key: str, record: Record) -> dict[str, Any]:
        """What an entry tells of such a record."""
        subject = subject_of(namespace, key)
        siblings = [self._sibling(subject, version) for version in record.live_versions()]
        latest = siblings[0]
        return {
            "json": latest.json,
            "binary": latest.binary,
            "content_type": latest.content_type,
            "version": self._service.versions.write(subject, record.context),
            "clock": self._clock(record.context),
            "hash": latest.hash,
            "siblings": tuple(siblings) if len(siblings) > 1 else (),
            "expires_at": latest.expires_at,
        }

    def _unread(self, request: Delete, tombstone: Record) -> Entry:
        """For a key that was deleted though its value could not be read."""
        subject = subject_of(request.namespace, request.key)
        return Entry(
            request.key,
            b"null",
            version=self._service.versions.write(subject, tombstone.context),
            clock=self._clock(tombstone.context),
            unread=True,
        )

    def _sibling(self, subject: bytes, version: Version) -> Sibling:
        text = _json_of(version)
        return Sibling(
            text.json,
            binary=text.binary,
            content_type=text.content_type,
            clock=self._clock((version.dot,)),
            hash=content_hash(subject, version.value),
            expires_at=version.expires or None,
        )

    def _clock(self, context: Context) -> tuple[ClockEntry, ...]:
        return tuple(
            ClockEntry(self._service.actor_name(event.actor), event.counter, event.timestamp)
            for event in context
        )


def _json_of(version: Version) -> JsonText:
    if version.kind == JSON:
        return JsonText(version.value)
    if version.kind == BINARY:
        return encode_value(version.value)
    return encode_value(_typed(version))


def _typed(version: Version) -> TypedBytes:
    media_type, body = split_type(version.value)
    return TypedBytes(body, media_type)

"""Records as JSON for clients.

A record is shown by its latest live version, with what all of them share as metadata:

    "value": 1,
    "metadata": {"valueVersion": "...", "clock": [["n1", 3, 1700000000000]], "hash": "..."}

A delete that could not read what it deleted (it is damaged on all owners, or on owners that are
away) answers "value": null and "unread": true.
A version that expires says when, in milliseconds like a clock entry: "expiresAt".
Bytes are shown as base64, with "encoding": "base64", and with "contentType" where they have one.
Where nodes stood in for owners (a sloppy quorum), the metadata says so: "strict": false and in
"hints" how many. Where versions are concurrent, "siblings" lists all of them, the latest first,
each with the clock entry of its own write. Values are bytes that go out as they came in; JSON
is put together around them as text, never through an encoder.

What is read is mostly read again, and not changed in between. So the description of a record
with one version is kept for the keys read last, as long as its context stays the same: with a
context versions can only be expired, in the order in which they expire, so the last one is given.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Final

import msgspec
from cachebox import LRUCache

from kvorum.model.record import BINARY, JSON, TYPED, Context, Record, Version
from kvorum.model.typed_value import split_type
from kvorum.service.content_hash import content_hash
from kvorum.service.version_string import VersionStrings

_NAMES_MAX: Final = 4096
KNOWN_MAX: Final = 4096
"""About 3 MB, with short keys."""
_BASE64: Final = ',"encoding":"base64"'


class _Known(msgspec.Struct, frozen=True, gc=False):
    """How a record with this context and one version is described."""

    context: Context
    version: str
    metadata: bytes


class Presenter:
    """Shows records as JSON, and keeps the descriptions of those read last."""

    def __init__(self, versions: VersionStrings, actor_name: Callable[[int], str]) -> None:
        self._versions = versions
        self._actor_name = actor_name
        self._openings: dict[int, str] = {}
        """Actor to the start of its clock entries."""
        self._known: LRUCache[bytes, _Known] = LRUCache(KNOWN_MAX)

    @property
    def known(self) -> int:
        """Of how many records the description is kept."""
        return len(self._known)

    def found(
        self, opening: bytes, subject: bytes, record: Record, hinted: int = 0
    ) -> tuple[str, bytes]:
        """(valueVersion, object) for a record that is read and has live versions.

        `opening` is the object's beginning: a brace, and members that go before.
        """
        versions = record.versions
        if hinted or len(versions) > 1:
            version, latest, metadata = self._described(subject, record, hinted)
        else:
            latest = versions[0]
            known = self._known.get(subject)
            if known is None or known.context != record.context:
                known = self._learn(subject, record)
            version, metadata = known.version, known.metadata
        text = latest.value if latest.kind == JSON else _text(latest)
        return version, b"".join((opening, b'"value":', text, b",", metadata))

    def written(
        self, opening: bytes, subject: bytes, record: Record, hinted: int = 0
    ) -> tuple[str, bytes]:
        """(valueVersion, object) for a record that was written: all but its value."""
        version, _, metadata = self._described(subject, record, hinted)
        return version, opening + metadata

    def described(self, opening: bytes, subject: bytes, record: Record, hinted: int = 0) -> bytes:
        """An object for a record that has live versions, without any value."""
        if hinted or len(record.versions) > 1:
            return opening + self._described(subject, record, hinted, values=False)[2]
        return opening + self._kept(subject, record).metadata

    def version(self, subject: bytes, record: Record) -> str:
        """The valueVersion of a record that is read and has live versions."""
        if len(record.versions) > 1:
            return self._versions.write(subject, record.context)
        return self._kept(subject, record).version

    def unread(self, opening: bytes, subject: bytes, record: Record) -> bytes:
        """An object for a key that was deleted without its value having been read."""
        version = self._versions.write(subject, record.context)
        metadata = (
            f'"metadata":{{"valueVersion":"{version}",'
            f'"clock":[{self._clock(record.context)}],"unread":true}}}}'
        ).encode()
        return opening + metadata

    def _kept(self, subject: bytes, record: Record) -> _Known:
        known = self._known.get(subject)
        if known is None or known.context != record.context:
            known = self._learn(subject, record)
        return known

    def _learn(self, subject: bytes, record: Record) -> _Known:
        version, _, metadata = self._described(subject, record, 0)
        known = _Known(record.context, version, metadata)
        self._known.insert(subject, known)
        return known

    def _described(
        self, subject: bytes, record: Record, hinted: int, values: bool = True
    ) -> tuple[str, Version, bytes]:
        """(valueVersion, latest version, metadata, siblings and the closing brace)."""
        context, versions = record.context, record.versions
        live = versions if len(versions) == 1 else record.live_versions()
        latest = live[0]
        version = self._versions.write(subject, context)
        metadata = (
            f'"metadata":{{"valueVersion":"{version}","clock":[{self._clock(context)}],'
            f'"hash":"{content_hash(subject, latest.value)}"{_encoding(latest)}'
            f"{_expires(latest.expires) if latest.expires else ''}"
            f"{_sloppy(hinted) if hinted else ''}}}}}"
        ).encode()
        if len(live) > 1:
            siblings = b",".join([self._sibling(subject, v, values) for v in live])
            metadata = b'%b,"siblings":[%b]}' % (metadata[:-1], siblings)
        return version, latest, metadata

    def _sibling(self, subject: bytes, version: Version, values: bool) -> bytes:
        metadata = (
            f'{{"clock":[{self._clock((version.dot,))}],'
            f'"hash":"{content_hash(subject, version.value)}"{_encoding(version)}'
            f"{_expires(version.expires) if version.expires else ''}}}"
        ).encode()
        if not values:
            return b'{"metadata":%b}' % metadata
        return b'{"value":%b,"metadata":%b}' % (_text(version), metadata)

    def _clock(self, context: Context) -> str:
        clock = ""
        for e in context:
            opening = self._openings.get(e.actor) or self._opening(e.actor)
            clock += f",{opening}{e.counter},{e.timestamp}]"
        return clock[1:]

    def _opening(self, actor: int) -> str:
        """`["name",`: names are looked up and escaped once."""
        if len(self._openings) >= _NAMES_MAX:
            self._openings.clear()
        name = msgspec.json.encode(self._actor_name(actor)).decode()
        opening = self._openings[actor] = f"[{name},"
        return opening


def _sloppy(hinted: int) -> str:
    return f',"strict":false,"hints":{hinted}'


def _expires(moment_ms: int) -> str:
    return f',"expiresAt":{moment_ms}'


def _encoding(version: Version) -> str:
    if version.kind == JSON:
        return ""
    if version.kind == BINARY:
        return _BASE64
    media_type, _ = split_type(version.value)
    return f'{_BASE64},"contentType":{msgspec.json.encode(media_type).decode()}'


def _text(version: Version) -> bytes:
    if version.kind == JSON:
        return version.value
    body = split_type(version.value)[1] if version.kind == TYPED else version.value
    return b'"%b"' % binascii.b2a_base64(body, newline=False)

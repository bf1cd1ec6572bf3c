"""The JSON of one entry to store:

    {"key": string, "value": any JSON, "namespace": string?, "metadata": {"valueVersion": string?,
     "encoding": string?, "contentType": string?, "ttl": integer or null?, "expiresAt": integer?}?}

The key of a single entry may be in the query in its place.

Time to live is in seconds; null is for ever, and left out it is the namespace's. In its place
"expiresAt" names the moment, in milliseconds since 1970. An entry that lives already is given
another lifetime by {"metadata": {"ttl": ...}} alone.

The value is checked but never decoded: its text is what is stored, byte for byte. Bytes that
are not JSON come as base64 in a JSON string, with "encoding": "base64", and are stored as bytes;
with "contentType" they keep that media type.

Refused, because another reader of the same text might see something else in it: text that is
not UTF-8, unknown members, and members that are given twice.
"""

from __future__ import annotations

import binascii
from typing import Final, TypeVar

import msgspec

from kvorum.api.json_complaints import kind_of, unfit, unsound
from kvorum.api.json_text import repeats_a_name
from kvorum.api.parameters import checked_namespace
from kvorum.model.errors import InvalidValue, RequestError
from kvorum.model.expiry import NEVER
from kvorum.model.record import BINARY, JSON, TYPED
from kvorum.model.topology import TTL_S_MAX
from kvorum.model.typed_value import join_type
from kvorum.service.lifetimes import DEFAULT, FOREVER, lifetime
from kvorum.service.lifetimes import Lifetime as AskedLifetime
from kvorum.service.limits import ServiceLimits

T = TypeVar("T")


class Lifespan(msgspec.Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    """How long an entry lives, as metadata say it."""

    ttl: int | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: int | None = None

    @property
    def asked(self) -> AskedLifetime:
        """Raises RequestError."""
        ttl, expires = self.ttl, self.expires_at
        if ttl is msgspec.UNSET:
            return lifetime(None, expires)
        if expires is not None:
            raise RequestError("Both ttl and expiresAt are given: leave one out.")
        if ttl is None:
            return FOREVER
        if ttl == NEVER:
            raise RequestError(
                f"A ttl of 0 is not allowed: it is 1 to {TTL_S_MAX} seconds, or null for ever."
            )
        return lifetime(ttl, None)


class Lifetime(Lifespan):
    """Metadata that a touch may have."""

    value_version: str | None = None


class EntryMetadata(Lifetime):
    """Metadata that an entry to store may have."""

    encoding: str | None = None
    content_type: str | None = None


class EntryBody(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An entry to store; its value is the text that was sent."""

    value: msgspec.Raw
    key: str | msgspec.UnsetType = msgspec.UNSET
    metadata: EntryMetadata | None = None
    namespace: str | None = None

    def key_given(self, in_query: str | None = None) -> str:
        """The key, which is given here or in the query. Raises RequestError."""
        if self.key is msgspec.UNSET:
            if in_query is None:
                raise RequestError("Field 'key' is missing.")
            return in_query
        if in_query is not None:
            raise RequestError("The key is given twice, in the body and in the query.")
        return self.key

    @property
    def value_version(self) -> str | None:
        """The version that it names; None if it names none."""
        return self.metadata.value_version if self.metadata else None

    @property
    def lifetime(self) -> AskedLifetime:
        """Raises RequestError."""
        return self.metadata.asked if self.metadata else DEFAULT


class TouchBody(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The body of a touch."""

    metadata: Lifetime


_touch: Final = msgspec.json.Decoder(TouchBody)
_entry: Final = msgspec.json.Decoder(EntryBody)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string: Final = msgspec.json.Decoder(str)

_SHORTEST_MEMBER: Final = len(b',"ttl":1')
_COMPACT_ENTRY: Final = len(b'{"value":}')
_COMPACT_KEY: Final = len(b'"key":"",')
_COMPACT_NAMESPACE: Final = len(b',"namespace":""')
_COMPACT_METADATA: Final = len(b',"metadata":{}')
_COMPACT_VERSION: Final = len(b'"valueVersion":""')
_COMPACT_TTL: Final = len(b'"ttl":1')


def check_utf8(text: bytes) -> None:
    """The decoders check what they decode; a value is not decoded. Raises RequestError."""
    if text.isascii():
        return
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from error


def decode_json(decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw) -> T:
    """Raises RequestError, or InvalidValue for a value that is nested without end."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise RequestError(unfit(error)) from error
    except msgspec.DecodeError as error:
        raise RequestError(unsound(error, bytes(text))) from error
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from error
    except RecursionError as error:
        raise InvalidValue("The JSON is nested too deeply.") from error


def decode_object(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """What the object `text` says, which may name each member once. Raises RequestError."""
    check_utf8(text)
    found = decode_json(decoder, text)
    refuse_repeated_names(text)
    return found


def decode_entry(text: bytes) -> EntryBody:
    """Raises RequestError or InvalidValue."""
    entry = decode_json(_entry, text)
    # A member given twice makes the text longer than what was decoded of it. Text that is
    # not, give or take a few spaces, need not be looked at.
    if len(text) - len(entry.value) - _compact_bytes(entry) >= _SHORTEST_MEMBER:
        refuse_repeated_names(text)
    if entry.namespace is not None:
        checked_namespace(entry.namespace)
    return entry


def decode_touch(text: bytes) -> Lifetime:
    """Raises RequestError."""
    lifetime = decode_json(_touch, text).metadata
    refuse_repeated_names(text)
    lifetime_given(lifetime)
    return lifetime


def lifetime_given(lifespan: Lifespan) -> AskedLifetime:
    """What the metadata of a touch ask for. Raises RequestError if that is nothing."""
    if lifespan.ttl is msgspec.UNSET and lifespan.expires_at is None:
        raise RequestError(
            "Neither metadata.ttl nor metadata.expiresAt is given: give one of them to set."
        )
    return lifespan.asked


def _compact_bytes(entry: EntryBody) -> int:
    """The least text that says `entry`, without its value."""
    size = _COMPACT_ENTRY
    if entry.key is not msgspec.UNSET:
        size += _COMPACT_KEY + len(entry.key.encode())
    if entry.namespace is not None:
        size += _COMPACT_NAMESPACE + len(entry.namespace)
    if entry.metadata is not None:
        size += _COMPACT_METADATA
        if entry.metadata.value_version is not None:
            size += _COMPACT_VERSION + len(entry.metadata.value_version)
        if entry.metadata.ttl is not msgspec.UNSET:
            size += _COMPACT_TTL
    return size


def refuse_repeated_names(text: bytes) -> None:
    """Raises RequestError if the object `text`, or its metadata, names a member twice."""
    members = {name: bytes(value) for name, value in decode_json(_members, text).items()}
    if repeats_a_name(text, members.values()):
        raise RequestError("A field is given twice in one object.")
    metadata = members.get("metadata", b"null")
    if metadata != b"null":
        refuse_repeated_names(metadata)


def value_of(entry: EntryBody, limits: ServiceLimits) -> tuple[int, bytes]:
    """(kind, bytes) to store. Raises InvalidValue."""
    kind, value = _encoded(entry.value, entry.metadata) if entry.metadata else _json(entry.value)
    limits.check_value(kind, value)
    return kind, value


def _json(text: msgspec.Raw) -> tuple[int, bytes]:
    return JSON, bytes(text)


def _encoded(text: msgspec.Raw, metadata: EntryMetadata) -> tuple[int, bytes]:
    encoding, media_type = metadata.encoding, metadata.content_type
    if encoding is None and media_type is None:
        return _json(text)
    if encoding is None:
        raise InvalidValue(
            'A value with a contentType is base64 text of bytes: add "encoding": "base64".'
        )
    if encoding != "base64":
        raise InvalidValue(f'Unknown encoding {encoding[:80]!r}: it is "base64", or left out.')
    body = _from_base64(text)
    return (BINARY, body) if media_type is None else (TYPED, join_type(media_type, body))


def _from_base64(text: msgspec.Raw) -> bytes:
    try:
        return binascii.a2b_base64(_string.decode(text), strict_mode=True)
    except msgspec.ValidationError as error:
        kind = kind_of(bytes(text))
        raise InvalidValue(f"The value is {kind}, not a string of base64.") from error
    except ValueError as error:
        raise InvalidValue(f"The value is not base64: {error}.") from error


def _not_utf8(error: UnicodeDecodeError) -> RequestError:
    return RequestError(f"The JSON is not UTF-8 at byte {error.start}: {error.reason}.")

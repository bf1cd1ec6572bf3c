"""Values as they are, without JSON around them: the body of PUT /entry/{key}, and ?raw=true of GET.

What Content-Type says decides what a body is:

    application/json       JSON; its text is stored
    none, or a form        the same: what curl sends with -T, and with -d if nothing else is said
    octet-stream           bytes
    any other type         bytes with that type

A raw answer has the type that was stored. A browser may be shown any of them, also what somebody
stored as HTML. So it is told to take the type for what it is, to run and load nothing, and to let
no page of another site have it: a script or an image needs no leave to be included there.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvorum.api.entry_body import check_utf8, decode_json
from kvorum.api.http.exchange import Fields
from kvorum.api.http.refusals import UnsupportedMediaType, shown
from kvorum.model.errors import InvalidValue, RequestError
from kvorum.model.record import BINARY, JSON, TYPED, Version
from kvorum.model.typed_value import join_type, split_type
from kvorum.service.limits import ServiceLimits

GUARDS: Final = (
    b"\r\nX-Content-Type-Options: nosniff"
    b"\r\nContent-Security-Policy: default-src 'none'; sandbox"
    b"\r\nCross-Origin-Resource-Policy: same-origin"
)
"""Header fields of each raw answer, for browsers."""

_JSON_TYPES: Final = frozenset({"", "application/json", "application/x-www-form-urlencoded"})
_BYTES_TYPE: Final = "application/octet-stream"
_MEDIA_TYPES: Final = {JSON: "application/json", BINARY: _BYTES_TYPE}
_BYTES_ADVICE: Final = (
    "Send JSON, or declare what the body is: with Content-Type: application/octet-stream, or any "
    "other type but a form's, it is stored as bytes."
)

_text: Final = msgspec.json.Decoder(msgspec.Raw)


def value_sent(fields: Fields, body: bytes, limits: ServiceLimits) -> tuple[int, bytes]:
    """(kind, bytes) to store of a body with these header fields.

    Raises InvalidValue, UnsupportedMediaType for a type that is none or a coding that is not
    undone here, and RequestError for a part of a value.
    """
    _check_whole_and_plain(fields)
    media_type = fields.get(b"content-type", b"").decode("latin-1").strip()
    essence = media_type.partition(";")[0].rstrip().lower()
    if essence in _JSON_TYPES:
        kind, value = JSON, _json(body)
    elif media_type.lower() == _BYTES_TYPE:
        kind, value = BINARY, body
    else:
        kind, value = TYPED, _typed(media_type, body)
    limits.check_value(kind, value)
    return kind, value


def media_type_and_body(version: Version) -> tuple[str, bytes]:
    """How the value of `version` is given back."""
    if version.kind == TYPED:
        return split_type(version.value)
    return _MEDIA_TYPES[version.kind], version.value


def _check_whole_and_plain(fields: Fields) -> None:
    if b"content-range" in fields:
        raise RequestError(
            "Content-Range says that the body is a part of the value. Send the whole value, "
            "without this header field."
        )
    coding = fields.get(b"content-encoding", b"identity")
    if coding.lower() != b"identity":
        raise UnsupportedMediaType(
            f"The Content-Encoding {shown(coding)} would not be kept with the value.",
            advice="Send the value without a coding, or declare what it is encoded as with "
            "Content-Type, such as application/gzip.",
        )


def _json(body: bytes) -> bytes:
    try:
        check_utf8(body)
        return bytes(decode_json(_text, body))
    except InvalidValue:
        raise
    except RequestError as error:
        raise InvalidValue(
            f"The value is not JSON. {error.message}", advice=_BYTES_ADVICE
        ) from error


def _typed(media_type: str, body: bytes) -> bytes:
    try:
        return join_type(media_type, body)
    except InvalidValue as error:
        raise UnsupportedMediaType(
            error.message, advice="Correct the header field Content-Type."
        ) from error

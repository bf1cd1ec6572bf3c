"""Bytes with their media type, as one value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import InvalidValue
from kvorum.model.record import EMPTY, TYPED, Event, is_well_formed, write
from kvorum.model.typed_value import (
    MEDIA_TYPE_BYTES_MAX,
    body_bytes,
    is_typed_value,
    join_type,
    split_type,
)

MEDIA_TYPES = [
    "image/png",
    "text/plain; charset=utf-8",
    "text/plain;charset=utf-8;format=flowed",
    'multipart/mixed; boundary="a b;\\"c"',
    "application/vnd.api+json ; version=1",
    "text/plain;",
    "a/b" + "c" * (MEDIA_TYPE_BYTES_MAX - 3),
]
NONE = [
    "",
    "text",
    "text/",
    "/plain",
    "text/plain, text/html",
    "text/pl ain",
    "text/plain; charset",
    "text/plain; charset=",
    'text/plain; charset="utf',
    "text/plain; a=b c",
    "text/plain\r\nX: y",
    'text/plain; a="\n"',
    "text/pläin",
    " text/plain",
    "text/plain ",
    "a/b" + "c" * (MEDIA_TYPE_BYTES_MAX - 2),
]


@given(st.sampled_from(MEDIA_TYPES), st.binary(max_size=300))
def test_both_come_back(media_type: str, body: bytes) -> None:
    value = join_type(media_type, body)
    assert split_type(value) == (media_type, body)
    assert body_bytes(value) == len(body)
    assert is_typed_value(value)


@pytest.mark.parametrize("media_type", NONE)
def test_what_is_no_media_type_is_not_stored(media_type: str) -> None:
    with pytest.raises(InvalidValue, match="content type"):
        join_type(media_type, b"x")


@pytest.mark.parametrize(
    "value", [b"", b"\x00x", b"\x04text", b"\xffa/b", b"\x03a/", b"\x03\xc3/b", b"\x04a/\r\n"]
)
def test_a_record_with_a_value_that_has_no_type_is_not_well_formed(value: bytes) -> None:
    assert not is_typed_value(value)
    dot = Event(1, 1, 1000)
    assert not is_well_formed(write(EMPTY, (), dot, TYPED, value))
    assert is_well_formed(write(EMPTY, (), dot, TYPED, join_type("a/b", value)))

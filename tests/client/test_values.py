from __future__ import annotations

import json
import math
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.client.values import TypedBytes, decode_value, encode_value
from kvorum.model.errors import InvalidValue

text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**60), max_value=10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5)
)


def roundtrip(value: Any) -> Any:
    return decode_value(*encode_value(value))


@given(json_values)
def test_any_json_value_comes_back_the_same(value: Any) -> None:
    assert repr(roundtrip(value)) == repr(value)


@given(json_values)
def test_the_text_is_json_for_everybody(value: Any) -> None:
    assert repr(json.loads(encode_value(value).json)) == repr(value)


@given(st.binary())
def test_bytes_come_back_the_same(value: bytes) -> None:
    assert roundtrip(value) == value
    assert roundtrip(bytearray(value)) == value


def test_an_integer_of_forty_digits_stays_an_integer() -> None:
    number = 1234567890123456789012345678901234567890
    assert encode_value(number).json == b"1234567890123456789012345678901234567890"
    assert roundtrip([number, -number]) == [number, -number]


def test_json_text_is_sent_as_it_is() -> None:
    assert encode_value(msgspec.Raw(b'{"a": 1.50}')).json == b'{"a": 1.50}'


def test_a_number_beyond_all_floats_is_read_like_python_reads_it() -> None:
    assert decode_value(b"[1e400]", binary=False) == [math.inf]


circle: list[Any] = []
circle.append(circle)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.inf],
        {1, 2},
        object(),
        {"a": b"nested"},
        {(1, 2): 3},
        "\ud800",
        circle,
        10**5000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_refused_not_bent(value: Any) -> None:
    with pytest.raises(InvalidValue, match="JSON cannot hold"):
        encode_value(value)


def test_nesting_too_deep_for_python_is_refused() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidValue):
        encode_value(value)


@pytest.mark.parametrize(
    ("json_text", "binary"),
    [
        (b"9" * 5000, False),
        (b"[" * 100_000 + b"]" * 100_000, False),
        (b"{", False),
        (b'"\xff"', False),
        (b'"a"', True),
        (b'"\xc3\xa9"', True),
        (b"7", True),
    ],
    ids=["digits", "depth", "cut", "utf8", "padding", "alphabet", "type"],
)
def test_what_python_cannot_hold_is_an_error_of_ours(json_text: bytes, binary: bool) -> None:
    with pytest.raises(InvalidValue):
        decode_value(json_text, binary)


def test_bytes_keep_their_content_type() -> None:
    typed = TypedBytes(bytearray(b"\x00\xff"), "image/png")
    for copy in (roundtrip(typed), pickle.loads(pickle.dumps(typed))):
        assert isinstance(copy, TypedBytes)
        assert (copy, copy.content_type) == (b"\x00\xff", "image/png")
    assert repr(typed) == "TypedBytes(b'\\x00\\xff', 'image/png')"
    assert type(roundtrip(b"x")) is bytes


@pytest.mark.parametrize("content_type", ["", "png", "a/b\r\nX: y"])
def test_what_is_no_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidValue, match="content type"):
        TypedBytes(b"", content_type)

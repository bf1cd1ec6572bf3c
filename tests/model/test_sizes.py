"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ConfigError
from kvorum.model.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("65536", 65536),
        ("100b", 100),
        ("512MB", 512_000_000),
        ("512 mb", 512_000_000),
        ("512M", 512_000_000),
        ("1GiB", 1 << 30),
        ("1.5 KiB", 1536),
        (" 2TB ", 2 * 10**12),
    ],
)
def test_units(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1,5MB", "1XB", "1e9", "1" * 16, "1 2"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="512MB"):
        parse_size(text)


@given(st.integers(0, 999 * 10**12))
def test_what_is_shown_can_be_given(count: int) -> None:
    shown = parse_size(format_size(count).replace("bytes", "B"))
    assert abs(shown - count) <= count * 0.005

"""What all faces have in common: bounds on values, and lifetimes."""

from __future__ import annotations

import pytest

from kvorum.model.errors import InvalidValue, RequestError
from kvorum.model.record import BINARY, JSON
from kvorum.model.topology import TTL_S_MAX
from kvorum.service.lifetimes import DEFAULT, lifetime
from kvorum.service.limits import ServiceLimits, ValueTooLarge

LIMITS = ServiceLimits(value_bytes=10, nesting=2)


@pytest.mark.parametrize(("kind", "value"), [(JSON, b"[[1,2,34]]"), (BINARY, b"[[[[[[[[[[")])
def test_a_value_within_the_bounds(kind: int, value: bytes) -> None:
    LIMITS.check_value(kind, value)


@pytest.mark.parametrize("kind", [JSON, BINARY])
def test_a_value_that_is_too_large(kind: int) -> None:
    with pytest.raises(ValueTooLarge, match="11 bytes; at most 10") as caught:
        LIMITS.check_value(kind, b"1" * 11)
    assert caught.value.code == "invalid_value"
    assert caught.value.details == {"wanted": "at most 10", "got": 11}


def test_json_that_is_too_deep() -> None:
    with pytest.raises(InvalidValue, match="deeper than 2 levels"):
        LIMITS.check_value(JSON, b"[[[]]]")


def test_lifetimes() -> None:
    assert lifetime(None, None) == DEFAULT == (None, 0)
    assert lifetime(60, None) == (60, 0)
    assert lifetime(0, None) == (0, 0)
    assert lifetime(None, 1_700_000_000_000) == (None, 1_700_000_000_000)


@pytest.mark.parametrize(("ttl", "expires_at"), [(-1, None), (TTL_S_MAX + 1, None), (None, 0)])
def test_lifetimes_that_can_be_none(ttl: int | None, expires_at: int | None) -> None:
    with pytest.raises(RequestError):
        lifetime(ttl, expires_at)

"""Lifetimes, and the merging of records of which each replica has expired something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import RequestError
from kvorum.model.expiry import EXPIRES_MS_MAX, NEVER, check_expires, check_ttl, expiry
from kvorum.model.record import EMPTY, JSON, Event, Record, encode, expire, merge, write
from kvorum.model.topology import TTL_S_MAX

NOW = 1_700_000_000_000


def test_what_says_when_it_expires() -> None:
    assert expiry(None, NEVER, 0, NOW) == NEVER
    assert expiry(None, NEVER, 7, NOW) == NOW + 7000
    assert expiry(5, NEVER, 7, NOW) == NOW + 5000
    assert expiry(0, NEVER, 7, NOW) == NEVER
    assert expiry(None, NOW + 1, 7, NOW) == NOW + 1
    assert expiry(TTL_S_MAX, NEVER, 0, NOW) == NOW + TTL_S_MAX * 1000


@pytest.mark.parametrize("ttl", [-1, TTL_S_MAX + 1, 10**40, -(10**50)])
def test_a_ttl_out_of_range_is_refused(ttl: int) -> None:
    with pytest.raises(RequestError, match=f"1 to {TTL_S_MAX} seconds"):
        check_ttl(ttl)


@pytest.mark.parametrize("moment", [NOW, NOW - 1, NOW + TTL_S_MAX * 1000 + 1])
def test_a_moment_that_is_past_or_too_far_is_refused(moment: int) -> None:
    check_expires(moment)
    with pytest.raises(RequestError, match=r"is not within .* seconds after now"):
        expiry(None, moment, 0, NOW)


@pytest.mark.parametrize("moment", [0, -1, EXPIRES_MS_MAX + 1, 10**30])
def test_what_can_be_no_moment_is_refused(moment: int) -> None:
    with pytest.raises(RequestError, match="milliseconds"):
        check_expires(moment)


def test_of_two_that_have_removed_different_versions_neither_is_left() -> None:
    """As two siblings do that met their other half where that was still, or no longer, alive."""
    first, second = Event(1, 1, 0), Event(2, 1, 0)
    both = write(write(EMPTY, (), first, JSON, b"1", 100), (), second, JSON, b"2", 100)
    a, b = (Record(both.context, (version,)) for version in both.versions)
    assert merge(a, b) == merge(b, a) == Record(both.context)
    assert merge(both, a) == merge(a, both) == a


Steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "blind", "expire", "send"]),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from([0, 10, 20, 30]),
    ),
    max_size=25,
)


@given(Steps, st.permutations(range(3)))
def test_replicas_that_remove_when_they_like_agree_in_the_end(
    steps: list[tuple[str, int, int, int]], order: list[int]
) -> None:
    """Whoever has sent to everybody twice over has told all; what lives is what never expires or
    has not been replaced.
    """
    held = [EMPTY] * 3
    counters = [0, 0, 0]
    for action, node, other, expires in steps:
        if action == "expire":
            held[node] = expire(held[node], expires)
        elif action == "send":
            held[other] = merge(held[other], held[node])
        else:
            counters[node] += 1
            seen = held[node].context if action == "write" else ()
            dot = Event(node + 1, counters[node], counters[node])
            held[node] = write(held[node], seen, dot, JSON, b"v", expires)
    for _ in range(2):
        for node in order:
            for other in range(3):
                held[other] = merge(held[node], held[other])
    expired = [expire(record, 30) for record in held]
    assert len({encode(b"k", record) for record in expired}) == 1
    for node in order:  # and nothing more changes, whoever sends what to whom
        for other in range(3):
            assert merge(expired[node], held[other]) == expired[other]

"""Laws of the security catalog: nodes that heard the same entries, in any order, hold the same."""

from __future__ import annotations

from functools import reduce

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ConfigError
from kvorum.model.permissions import Grant, Permission, Role, narrowed
from kvorum.model.security_catalog import (
    GRANTS_MAX,
    SecurityCatalog,
    SecurityEntry,
    check_entries,
)
from kvorum.model.security_values import Token, User

NAMES = st.sampled_from(["a", "b", "c"])
PREFIXES = st.sampled_from(["", "x", "xy", "z"])
NAMESPACES = st.none() | NAMES


@st.composite
def entries(draw: st.DrawFn) -> SecurityEntry:
    name, grants = draw(NAMES), (Grant(role=draw(st.sampled_from(["reader", "admin"]))),)
    kind = draw(st.sampled_from(["token", "user"]))
    value: Token | User | None = None
    if draw(st.booleans()):
        value = User(name=name, grants=grants)
        if kind == "token":
            value = Token(id=name, name=name, digest="0" * 64, grants=grants, created_ms=1)
    stamp, origin = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    return SecurityEntry("token" if kind == "token" else "user", name, stamp, origin, value)


LISTS = st.lists(entries(), max_size=6)


def catalog(*lists: list[SecurityEntry]) -> SecurityCatalog:
    return reduce(lambda made, some: made.merged(some)[0], lists, SecurityCatalog())


@given(LISTS, LISTS, LISTS)
def test_merging_is_commutative_associative_and_idempotent(
    a: list[SecurityEntry], b: list[SecurityEntry], c: list[SecurityEntry]
) -> None:
    assert catalog(a, b, c) == catalog(c, b, a) == catalog(a, [*catalog(b, c).entries.values()])
    assert catalog(a, b).merged([*a, *b])[1] == []


@given(LISTS, LISTS)
def test_digests_are_equal_just_where_catalogs_are(
    a: list[SecurityEntry], b: list[SecurityEntry]
) -> None:
    assert (catalog(a) == catalog(b)) == (catalog(a).digest == catalog(b).digest)


@given(LISTS, LISTS)
def test_a_token_that_was_removed_stays_so(
    before: list[SecurityEntry], after: list[SecurityEntry]
) -> None:
    removed = SecurityEntry("token", "a", 0, 0, None)
    assert catalog(before, [removed], after).token("a") is None


@given(LISTS, st.integers(0, 5))
def test_a_change_counts_for_more_than_what_it_changed_also_with_a_clock_behind(
    before: list[SecurityEntry], now_ms: int
) -> None:
    user = User(name="a", grants=(Grant(role="writer"),))
    keep = SecurityEntry("user", "admin", 1, 0, User(name="admin", grants=(Grant(role="admin"),)))
    there = catalog(before, [keep])
    assert there.merged([there.putting(user, now_ms, 0)])[0].user("a") == user


@given(NAMESPACES, PREFIXES, NAMESPACES, PREFIXES, NAMES, st.text("xyz", max_size=3))
def test_a_narrowed_grant_allows_what_role_and_grant_both_do_and_no_more(
    of_role: str | None,
    role_prefix: str,
    of_grant: str | None,
    prefix: str,
    namespace: str,
    key: str,
) -> None:
    role = Role(name="r", permissions=(Permission.READ,), namespace=of_role, prefix=role_prefix)
    grant = Grant(role="r", namespace=of_grant, prefix=prefix)
    rule = narrowed(role, grant)

    def holds(scope: Role | Grant) -> bool:
        return scope.namespace in (None, namespace) and key.startswith(scope.prefix)

    assert (rule is not None and holds(rule)) == (holds(role) and holds(grant))


def test_more_roles_than_there_may_be_are_not_taken_from_a_peer_or_file() -> None:
    user = User(name="a", grants=(Grant(role="reader"),) * (GRANTS_MAX + 1))
    with pytest.raises(ConfigError, match="too many roles"):
        check_entries([SecurityEntry("user", "a", 1, 0, user)])


def test_no_repr_shows_the_digest_of_a_token() -> None:
    token = Token(id="a", name="a", digest="secret", grants=(), created_ms=1)
    assert "secret" not in repr(SecurityEntry("token", "a", 1, 0, token))
    assert msgspec.json.decode(msgspec.json.encode(token), type=Token) == token

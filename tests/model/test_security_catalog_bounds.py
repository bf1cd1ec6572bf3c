"""What a security catalog refuses, and that it then stays as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ConfigError
from kvorum.model.permissions import Grant, Permission, Role
from kvorum.model.security_catalog import ENTRIES_MAX, SecurityCatalog, SecurityEntry
from kvorum.model.security_values import Token, User

NOW_MS = 1000
ROLES = st.sampled_from(["admin", "reader", "clerk"])
CLERK = Role(name="clerk", permissions=(Permission.READ,))


def token(name: str, role: str = "reader", expires_ms: int = 0) -> Token:
    grants = (Grant(role=role),)
    return Token(
        id=name, name=name, digest="0" * 64, grants=grants, created_ms=1, expires_ms=expires_ms
    )


def grown(catalog: SecurityCatalog, entry: SecurityEntry) -> SecurityCatalog:
    return catalog.merged([entry])[0]


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "remove"]), st.sampled_from("abc"), ROLES, st.booleans()),
    max_size=15,
)


@given(STEPS)
def test_an_administrator_is_left_and_no_role_in_use_is_gone_whatever_is_changed(
    steps: list[tuple[str, str, str, bool]],
) -> None:
    catalog = SecurityCatalog()
    for value in (CLERK, token("a", "admin")):
        catalog = grown(catalog, catalog.putting(value, NOW_MS, 0))
    for what, name, role, expires in steps:
        try:
            if what == "put":
                value = token(name, role, NOW_MS if expires else 0)
                catalog = grown(catalog, catalog.putting(value, NOW_MS, 0))
            elif catalog.token(name) is not None:
                catalog = grown(catalog, catalog.removing("token", name, NOW_MS, 0))
            else:
                catalog = grown(catalog, catalog.removing("role", "clerk", NOW_MS, 0))
                catalog = grown(catalog, catalog.putting(CLERK, NOW_MS, 0))
        except ConfigError:
            pass
        assert catalog.has_administrator
        granted = {g.role for one in catalog.values("token") for g in one.grants}  # type: ignore[union-attr]
        assert all(catalog.role(role) is not None for role in granted)


@given(st.lists(st.sampled_from("abcdef"), max_size=8), st.sampled_from("abcdef"))
def test_a_catalog_in_which_something_is_replaced_is_the_one_made_of_the_same_entries(
    names: list[str], changed: str
) -> None:
    catalog = SecurityCatalog()
    for number, name in enumerate([*names, changed]):
        catalog = grown(catalog, SecurityEntry("token", name, number, 0, token(name)))
    again = SecurityCatalog(reversed(list(catalog.entries.values())))
    assert (again, again.digest) == (catalog, catalog.digest)


def test_more_entries_than_there_may_be_are_refused_and_those_there_are_still_change() -> None:
    user = User(name="u", grants=(Grant(role="reader"),))
    full = SecurityCatalog(
        SecurityEntry("token", f"t{number}", 1, 0, None) for number in range(ENTRIES_MAX - 1)
    )
    full = grown(full, full.putting(user, NOW_MS, 0))
    with pytest.raises(ConfigError, match=f"there may be {ENTRIES_MAX}"):
        full.putting(token("another"), NOW_MS, 0)
    changed = grown(full, full.putting(User(name="u", grants=(Grant(role="writer"),)), NOW_MS, 0))
    assert changed.user("u") == User(name="u", grants=(Grant(role="writer"),))
    assert len(changed.entries) == ENTRIES_MAX

"""Rights against a dumb version: whether any grant by itself allows it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.permissions import Permission, Role
from kvorum.service.access import GrantPolicy
from kvorum.service.action import Action
from kvorum.service.principal import Principal
from kvorum.service.rights import FOR_ANYBODY, FOR_AUTHENTICATED, NONE, PERMISSION_OF, rights_of

SPACES = st.sampled_from([None, "a", "b"])
KEYS = st.text("xy", max_size=3)
ROLES = st.builds(
    Role,
    name=st.just("r"),
    permissions=st.lists(st.sampled_from(Permission), min_size=1, max_size=4).map(tuple),
    namespace=SPACES,
    prefix=KEYS,
)


def allowed(roles: list[Role], action: Action, namespace: str | None, key: str | None) -> bool:
    if action in FOR_ANYBODY or action in FOR_AUTHENTICATED:
        return True
    return any(
        PERMISSION_OF[action] in role.permissions
        and role.namespace in (None, namespace)
        and (key or "").startswith(role.prefix)
        for role in roles
    )


@given(st.lists(ROLES, max_size=5), st.sampled_from(Action), SPACES, st.none() | KEYS)
def test_what_is_allowed_is_what_a_grant_allows(
    roles: list[Role], action: Action, namespace: str | None, key: str | None
) -> None:
    principal = Principal("p", "token", rights=rights_of(roles))
    expected = allowed(roles, action, namespace, key)
    assert GrantPolicy().allows(principal, action, namespace, key) == expected


@given(st.sampled_from(Action), SPACES, st.none() | KEYS)
def test_who_is_not_known_may_only_see_health(
    action: Action, namespace: str | None, key: str | None
) -> None:
    assert NONE.cover(action, namespace, key) == (action in FOR_ANYBODY)

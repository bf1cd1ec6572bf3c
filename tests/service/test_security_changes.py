"""Changes of the security catalog come one after another, each made of what the one before left."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from kit.security import ADMIN_ID, NOW_MS, FakeShared

from kvorum.model.errors import KvorumError, NotFound, Overloaded, RequestError, StorageError
from kvorum.model.permissions import Grant
from kvorum.model.security_catalog import SecurityCatalog
from kvorum.model.security_values import PrincipalLimits, User
from kvorum.service.security_changes import WAITING_MAX, SecurityChanges

ROOT = User(name="root", grants=(Grant(role="admin"),))


def changes_of(shared: FakeShared) -> SecurityChanges:
    return SecurityChanges(shared, lambda: NOW_MS, 1)


def root_with(limits: PrincipalLimits, _catalog: SecurityCatalog, _now_ms: int) -> User:
    return User(name="root", grants=ROOT.grants, limits=limits)


def test_two_at_once_cannot_remove_the_last_two_administrators() -> None:
    shared = FakeShared(ROOT)
    shared.holds_back = True
    changes, first, second = changes_of(shared), list[Any](), list[Any]()
    changes.remove("token", ADMIN_ID, first.append)
    changes.remove("user", "root", second.append)
    assert len(shared.held) == 1
    shared.held.pop()()
    assert first == [shared.spread]
    assert isinstance(second[0], RequestError)
    assert shared.catalog.has_administrator


def test_the_next_one_need_not_wait_for_other_nodes() -> None:
    shared = FakeShared(ROOT)
    shared.unspread = []
    changes, told = changes_of(shared), list[Any]()
    for limit in (1, 2):
        limits = PrincipalLimits(connections=limit)
        changes.put(partial(root_with, limits), told.append)
    changes.remove("token", ADMIN_ID, told.append)
    assert len(shared.changed) == 3
    for spread in shared.unspread:
        spread()
    assert told == [shared.spread] * 3
    changed = shared.catalog.user("root")
    assert changed is not None
    assert changed.limits.connections == 2


def test_what_another_node_changes_does_not_end_the_wait_for_ones_own() -> None:
    shared = FakeShared(ROOT)
    shared.holds_back = True
    changes, first, second = changes_of(shared), list[Any](), list[Any]()
    changes.remove("token", ADMIN_ID, first.append)
    changes.remove("user", "root", second.append)
    shared.take(shared.catalog.putting(ROOT, NOW_MS + 5, 2))
    assert len(shared.held) == 1
    shared.held.pop()()
    assert isinstance(second[0], RequestError)
    assert shared.catalog.has_administrator


def test_one_that_fails_lets_the_next_one_in() -> None:
    shared = FakeShared(ROOT)
    shared.holds_back = True
    changes, told = changes_of(shared), list[Any]()
    changes.remove("user", "root", told.append)
    changes.remove("user", "nobody", told.append)
    changes.remove("user", "root", told.append)
    shared.error = StorageError("no room")
    shared.held.pop()()
    shared.error = None
    shared.held.pop()()
    assert [type(one) for one in told[:2]] == [StorageError, NotFound]
    assert told[2] == shared.spread
    assert shared.catalog.user("root") is None


def test_what_cannot_be_made_is_told_and_changes_nothing() -> None:
    shared = FakeShared()
    told = list[Any]()

    def broken(_catalog: object, _now_ms: int) -> User:
        raise KvorumError("not like this")

    changes_of(shared).put(broken, told.append)
    changes_of(shared).put(lambda _catalog, _now_ms: User(name="x", grants=()), told.append)
    assert [str(one) for one in told] == ["not like this", "No role is given. Give at least one."]
    assert shared.changed == []


def test_those_that_wait_are_bounded() -> None:
    shared = FakeShared(ROOT)
    shared.holds_back = True
    changes, told = changes_of(shared), list[Any]()
    for _ in range(WAITING_MAX + 1):
        changes.put(lambda _catalog, _now_ms: ROOT, told.append)
    with pytest.raises(Overloaded):
        changes.remove("user", "root", told.append)
    while shared.held:
        shared.held.pop()()
    assert told == [shared.spread] * (WAITING_MAX + 1)

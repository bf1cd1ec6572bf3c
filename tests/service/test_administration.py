"""The door to the node itself: each call under its action, and nothing done where it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kit.key_admin import FakeKeyAdmin
from kit.namespaces import FakeNamespaces
from kit.node import SECRET, FakeNode, actor_name
from kit.snapshots import FakeSnapshots

from kvorum.documents.health import Health, Readiness
from kvorum.documents.namespaces import DroppedNamespace
from kvorum.model.errors import AccessDenied, KvorumError, RequestError
from kvorum.service.access import OPEN, Policy, SamePolicy
from kvorum.service.action import Action
from kvorum.service.administration import Administration, NodeParts
from kvorum.service.principal import LOCAL
from kvorum.service.reply import Reply
from kvorum.service.service import Service


class Unheard(Reply[Any]):
    def answer(self, result: Any) -> None: ...

    def refuse(self, error: KvorumError) -> None: ...

    def fail(self) -> None: ...


class Stage:
    def __init__(self, policy: Policy = OPEN) -> None:
        self.node = FakeNode()
        self.snapshots, self.key_admin = FakeSnapshots(), FakeKeyAdmin()
        self.namespaces = FakeNamespaces()
        self.service = Service(self.node, SECRET, actor_name, policy=policy)
        parts = NodeParts(
            introspection=self.node,
            metrics=self.node,
            health_checks=self.node,
            repairs=self.node,
            snapshots=self.snapshots,
            key_admin=self.key_admin,
            namespaces=self.namespaces,
        )
        self.administration = Administration(self.service, parts)


Call = Callable[[Administration], Any]
CALLS: list[tuple[Action, Call, Any]] = [
    (Action.SEE_STATUS, lambda node: node.status(LOCAL), {"node": "n1", "records": 0}),
    (Action.SEE_HEALTH, lambda node: node.health(LOCAL), Health(healthy=True)),
    (Action.SEE_HEALTH, lambda node: node.readiness(LOCAL), Readiness(ready=True)),
    (Action.SEE_RING, lambda node: node.ring(LOCAL), {"partitions": []}),
    (
        Action.ACCEPT_CLOCK,
        lambda node: node.accept_clock(LOCAL),
        {"node": "n1", "clock": {"state": "accepted"}},
    ),
    (
        Action.REPAIR,
        lambda node: node.begin_repair(LOCAL, "n", 3, "k", full=True),
        {"id": "a1", "namespace": "n", "partition": 3, "key": "k", "full": True},
    ),
    (Action.SEE_REPAIRS, lambda node: node.repair(LOCAL, "a1"), {}),
    (Action.SEE_REPAIRS, lambda node: node.repairs(LOCAL), {"runs": [], "partitions": []}),
    (
        Action.CREATE_SNAPSHOT,
        lambda node: node.create_snapshot(LOCAL, "s"),
        {"task": "create", "name": "s"},
    ),
    (
        Action.VERIFY_SNAPSHOT,
        lambda node: node.verify_snapshot(LOCAL, "s"),
        {"task": "verify", "name": "s"},
    ),
    (
        Action.DELETE_SNAPSHOT,
        lambda node: node.delete_snapshot(LOCAL, "s"),
        {"task": "delete", "name": "s"},
    ),
    (
        Action.SEE_SNAPSHOTS,
        lambda node: node.snapshot(LOCAL, "s"),
        {"task": "progress", "name": "s"},
    ),
    (Action.SEE_SNAPSHOTS, lambda node: node.snapshots(LOCAL), {"snapshots": []}),
    (Action.SEE_KEYS, lambda node: node.keys(LOCAL), {"keys": []}),
    (Action.ROTATE_KEYS, lambda node: node.rotate_keys(LOCAL, "n"), {"rotated": {}}),
    (
        Action.SEE_NAMESPACES,
        lambda node: node.namespaces(LOCAL).version,
        1,
    ),
    (Action.SEE_NAMESPACES, lambda node: node.namespace(LOCAL, "default").namespace, "default"),
    (Action.SET_NAMESPACE, lambda node: node.set_namespace(LOCAL, "n", {"ttl": 5}, None)[0], True),
    (Action.SET_NAMESPACE, lambda node: node.check_namespace(LOCAL, "n", {}, None), None),
    (Action.SHRED_NAMESPACE, lambda node: node.shred(LOCAL, "n", 5), {"namespace": "n"}),
    (Action.SEE_SCRUB, lambda node: node.scrub_status(LOCAL), {"scrub": {}}),
    (Action.SCRUB, lambda node: node.scrub(LOCAL), {"scrub": {}}),
]
each_call = pytest.mark.parametrize(("action", "call", "document"), CALLS)


@each_call
def test_what_is_allowed_is_done(action: Action, call: Call, document: Any) -> None:
    assert call(Stage(SamePolicy({action})).administration) == document


@each_call
def test_what_is_not_allowed_is_not_done(action: Action, call: Call, document: Any) -> None:
    stage = Stage(SamePolicy(set(Action) - {action}))
    with pytest.raises(AccessDenied):
        call(stage.administration)
    assert not stage.snapshots.asked
    assert not stage.key_admin.asked
    assert not stage.node.repair
    assert not stage.namespaces.asked


def test_a_namespace_is_dropped_by_whom_it_is_allowed_to() -> None:
    allowed = Stage(SamePolicy({Action.SET_NAMESPACE, Action.DROP_NAMESPACE}))
    told: list[Any] = []
    allowed.administration.set_namespace(LOCAL, "n", {}, None)
    allowed.administration.drop_namespace(LOCAL, "n", 7, 2, told.append)
    assert not told, "it is not durable yet"
    (dropped,) = allowed.namespaces.dropped
    dropped(None)
    assert told == [DroppedNamespace(namespace="n", version=3)]
    denied = Stage(SamePolicy(set(Action) - {Action.DROP_NAMESPACE}))
    with pytest.raises(AccessDenied):
        denied.administration.drop_namespace(LOCAL, "default", None, None, told.append)
    assert not denied.namespaces.dropped


def test_a_key_is_located_within_the_admission() -> None:
    stage = Stage()
    with pytest.raises(RequestError):
        stage.administration.locate(LOCAL, "nowhere", "k", Unheard())
    assert stage.service.admission.in_flight == 0
    denied = Stage(SamePolicy(set(Action) - {Action.LOCATE}))
    with pytest.raises(AccessDenied):
        denied.administration.locate(LOCAL, "nowhere", "k", Unheard())
    assert denied.service.admission.in_flight == 0

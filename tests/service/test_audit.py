"""What the door tells an auditor: each action by its level, each refusal, each outcome, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from kit.auditors import ListeningAuditor, Told
from kit.key_admin import FakeKeyAdmin
from kit.namespaces import FakeNamespaces
from kit.node import SECRET, FakeNode, actor_name
from kit.security import TOKEN_ID, FakeSecurity
from kit.snapshots import FakeSnapshots

from kvorum.model.audit_level import AuditLevel
from kvorum.model.errors import AccessDenied, KvorumError, Overloaded, QuorumError, StorageError
from kvorum.model.permissions import Grant, Permission, Role
from kvorum.model.record import EMPTY, JSON
from kvorum.model.request import Answer, Delete, Failure, Get, Put, Request, Selection, Touch
from kvorum.service.access import OPEN, AccessControl, Policy, SamePolicy
from kvorum.service.action import ACTION_OF, Action
from kvorum.service.administration import Administration, NodeParts
from kvorum.service.audit import LEVEL_OF, UNAUDITED
from kvorum.service.audited_service import service_for
from kvorum.service.limits import ServiceLimits
from kvorum.service.principal import LOCAL
from kvorum.service.reply import Reply
from kvorum.service.security_administration import SecurityAdministration
from kvorum.service.security_wishes import TokenWish, UserWish
from kvorum.service.service import Service

PASSWORD = "correct horse battery"
LEVELS = list(AuditLevel)
ON = LEVELS[1:]


class Heard(Reply[Any]):
    def __init__(self) -> None:
        self.came: list[Any] = []
        self.raises: Exception | None = None

    def answer(self, result: Any) -> None:
        if self.raises is not None:
            raise self.raises
        self.came.append(result)

    def refuse(self, error: KvorumError) -> None:
        self.came.append(error)

    def fail(self) -> None:
        self.came.append("failed")


class Broken:
    """A part of a node with a failed disk."""

    @property
    def catalog(self) -> Any:
        raise StorageError("the disk has failed")

    def __getattr__(self, _name: str) -> Any:
        def fail(*_given: Any, **_named: Any) -> None:
            raise StorageError("the disk has failed")

        return fail


class Stage:
    def __init__(
        self,
        level: AuditLevel,
        policy: Policy = OPEN,
        *,
        broken: bool = False,
        in_flight: int = 8,
    ) -> None:
        self.auditor = ListeningAuditor(level)
        self.node = FakeNode()
        self.node.holding = True
        self.namespaces = FakeNamespaces()
        limits = ServiceLimits(in_flight=in_flight)
        self.service = service_for(self.auditor)(
            self.node, SECRET, actor_name, limits, policy, auditor=self.auditor
        )
        parts: dict[str, Any] = {
            "introspection": self.node,
            "metrics": self.node,
            "health_checks": self.node,
            "repairs": self.node,
            "snapshots": FakeSnapshots(),
            "key_admin": FakeKeyAdmin(),
            "namespaces": self.namespaces,
        }
        parts = dict.fromkeys(parts, Broken()) if broken else parts
        self.administration = Administration(self.service, NodeParts(**parts))
        self.fakes = FakeSecurity()
        self.security = self.fakes.administration(self.service)

    @property
    def told(self) -> list[Told]:
        return self.auditor.told


# The table of levels


def test_every_action_belongs_to_a_level() -> None:
    assert set(LEVEL_OF) == set(Action)
    assert AuditLevel.OFF not in LEVEL_OF.values()


def test_a_level_covers_those_before_it() -> None:
    for place, level in enumerate(LEVELS):
        assert [level.covers(other) for other in LEVELS] == [
            number <= place for number in range(len(LEVELS))
        ]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("action", Action)
def test_an_action_is_told_of_at_its_level(action: Action, level: AuditLevel) -> None:
    auditor = ListeningAuditor(level)
    with AccessControl(OPEN, auditor).enter(LOCAL, action, "n", "k", "s"):
        assert not auditor.told
    expected = level in ON and level.covers(LEVEL_OF[action])
    assert auditor.told == [Told("local", action, "n", "k", "ok", "s")] * expected


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("action", Action)
def test_every_refusal_is_told_of_at_every_level(action: Action, level: AuditLevel) -> None:
    auditor = ListeningAuditor(level)
    access = AccessControl(SamePolicy(set(Action) - {action}), auditor)
    for door in (access.check, access.enter):
        auditor.told.clear()
        with pytest.raises(AccessDenied):
            door(LOCAL, action, "n", "k")
        refusal = Told("local", action, "n", "k", "access_denied", None)
        assert auditor.told == [refusal] * (level in ON)


def test_an_action_is_told_of_once_whatever_happens_behind_it() -> None:
    auditor = ListeningAuditor(AuditLevel.ALL)

    def hear(_result: object) -> None:
        raise StorageError("the face has failed")

    with (
        pytest.raises(StorageError, match="the face"),
        AccessControl(OPEN, auditor).enter(LOCAL, Action.SCRUB) as told,
    ):
        told.later(hear)(None)
    assert auditor.told == [Told("local", Action.SCRUB, None, None, "ok", None)]


# The administration

Call = Callable[[Administration], Any]
CALLS: dict[str, tuple[Call, Action, str | None, str | None, str | None]] = {
    "status": (lambda node: node.status(LOCAL), Action.SEE_STATUS, None, None, None),
    "metrics": (lambda node: node.metrics(LOCAL, print), Action.SEE_METRICS, None, None, None),
    "health": (lambda node: node.health(LOCAL), Action.SEE_HEALTH, None, None, None),
    "readiness": (lambda node: node.readiness(LOCAL), Action.SEE_HEALTH, None, None, None),
    "ring": (lambda node: node.ring(LOCAL), Action.SEE_RING, None, None, None),
    "locate": (
        lambda node: node.locate(LOCAL, "n", "k", Heard()),
        Action.LOCATE,
        "n",
        "k",
        None,
    ),
    "accept_clock": (lambda node: node.accept_clock(LOCAL), Action.ACCEPT_CLOCK, None, None, None),
    "begin_repair": (
        lambda node: node.begin_repair(LOCAL, "n", 3, "k", full=True),
        Action.REPAIR,
        "n",
        "k",
        "partition 3",
    ),
    "repair": (lambda node: node.repair(LOCAL, "a1"), Action.SEE_REPAIRS, None, None, "a1"),
    "repairs": (lambda node: node.repairs(LOCAL), Action.SEE_REPAIRS, None, None, None),
    "create_snapshot": (
        lambda node: node.create_snapshot(LOCAL, "s"),
        Action.CREATE_SNAPSHOT,
        None,
        None,
        "s",
    ),
    "verify_snapshot": (
        lambda node: node.verify_snapshot(LOCAL, "s"),
        Action.VERIFY_SNAPSHOT,
        None,
        None,
        "s",
    ),
    "delete_snapshot": (
        lambda node: node.delete_snapshot(LOCAL, "s"),
        Action.DELETE_SNAPSHOT,
        None,
        None,
        "s",
    ),
    "snapshot": (lambda node: node.snapshot(LOCAL, "s"), Action.SEE_SNAPSHOTS, None, None, "s"),
    "snapshots": (lambda node: node.snapshots(LOCAL), Action.SEE_SNAPSHOTS, None, None, None),
    "namespaces": (lambda node: node.namespaces(LOCAL), Action.SEE_NAMESPACES, None, None, None),
    "namespace": (
        lambda node: node.namespace(LOCAL, "orders"),
        Action.SEE_NAMESPACES,
        "orders",
        None,
        None,
    ),
    "set_namespace": (
        lambda node: node.set_namespace(LOCAL, "n", {}, None),
        Action.SET_NAMESPACE,
        "n",
        None,
        None,
    ),
    "check_namespace": (
        lambda node: node.check_namespace(LOCAL, "n", {}, None),
        Action.SET_NAMESPACE,
        "n",
        None,
        "only checked",
    ),
    "drop_namespace": (
        lambda node: node.drop_namespace(LOCAL, "orders", None, None, print),
        Action.DROP_NAMESPACE,
        "orders",
        None,
        None,
    ),
    "keys": (lambda node: node.keys(LOCAL), Action.SEE_KEYS, None, None, None),
    "rotate_keys": (
        lambda node: node.rotate_keys(LOCAL, "n"),
        Action.ROTATE_KEYS,
        "n",
        None,
        None,
    ),
    "shred": (lambda node: node.shred(LOCAL, "n", 5), Action.SHRED_NAMESPACE, "n", None, None),
    "scrub_status": (lambda node: node.scrub_status(LOCAL), Action.SEE_SCRUB, None, None, None),
    "scrub": (lambda node: node.scrub(LOCAL), Action.SCRUB, None, None, None),
}
GO_ON = {"locate", "drop_namespace"}
"""Their end comes later."""

each_call = pytest.mark.parametrize("name", CALLS)


def told_of(name: str, outcome: str) -> Told:
    _, action, namespace, key, subject = CALLS[name]
    return Told("local", action, namespace, key, outcome, subject)


def test_every_call_of_the_administration_is_in_the_table() -> None:
    assert {name for name in vars(Administration) if not name.startswith("_")} == set(CALLS)


@each_call
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_done_is_told_of(name: str, level: AuditLevel) -> None:
    call, action, *_ = CALLS[name]
    stage = Stage(level)
    begin_and_settle(stage, lambda: call(stage.administration), goes_on=name in GO_ON)
    expected = level in ON and level.covers(LEVEL_OF[action])
    assert stage.told == [told_of(name, "ok")] * expected


@each_call
def test_what_fails_is_told_of_by_its_code(name: str) -> None:
    stage = Stage(AuditLevel.ALL, broken=True)
    with pytest.raises(StorageError):
        CALLS[name][0](stage.administration)
    assert stage.told == [told_of(name, "storage_failed")]


@each_call
def test_what_is_refused_is_told_of_once(name: str) -> None:
    call, action, *_ = CALLS[name]
    for level in ON:
        stage = Stage(level, SamePolicy(set(Action) - {action}))
        with pytest.raises(AccessDenied):
            call(stage.administration)
        assert stage.told == [told_of(name, "access_denied")]


def begin_and_settle(stage: Stage, begin: Callable[[], object], *, goes_on: bool = True) -> None:
    """Do that, and let what goes on come to its end, of which nothing was told before."""

    async def play() -> None:
        begin()
        assert not (goes_on and stage.told)
        for done in stage.namespaces.dropped:
            done(None)
        await asyncio.sleep(0)

    asyncio.run(play())


def test_a_namespace_that_could_not_be_dropped_in_the_end_is_told_of_as_that() -> None:
    stage = Stage(AuditLevel.ADMIN)
    stage.administration.drop_namespace(LOCAL, "orders", None, None, lambda _result: None)
    stage.namespaces.dropped[0](StorageError("the disk has failed"))
    assert stage.told == [told_of("drop_namespace", "storage_failed")]


def test_a_key_that_could_not_be_located_is_told_of_as_that() -> None:
    stage = Stage(AuditLevel.ALL)
    stage.node.failure = Failure.of(QuorumError("none is up"))
    begin_and_settle(stage, lambda: stage.administration.locate(LOCAL, "n", "k", Heard()))
    assert stage.told == [told_of("locate", "quorum_not_met")]


# The administration of who may do what

SecurityCall = Callable[[SecurityAdministration], Any]
CLERK = Role(name="clerk", permissions=(Permission.READ, Permission.LIST))
OF_SECURITY: dict[str, tuple[SecurityCall, Action, str | None]] = {
    "whoami": (lambda node: node.whoami(LOCAL), Action.SEE_SELF, None),
    "tokens": (lambda node: node.tokens(LOCAL), Action.SEE_SECURITY, None),
    "users": (lambda node: node.users(LOCAL), Action.SEE_SECURITY, None),
    "roles": (lambda node: node.roles(LOCAL), Action.SEE_SECURITY, None),
    "revocations": (lambda node: node.revocations(LOCAL), Action.SEE_SECURITY, None),
    "create_token": (
        lambda node: node.create_token(
            LOCAL,
            TokenWish(
                name="ci",
                grants=(Grant(role="writer"), Grant(role="reader", namespace="n", prefix="a/")),
            ),
            ignore,
        ),
        Action.CHANGE_SECURITY,
        "make token ci: writer, reader in n for a/*",
    ),
    "revoke_token": (
        lambda node: node.revoke_token(LOCAL, TOKEN_ID, ignore),
        Action.CHANGE_SECURITY,
        f"revoke token {TOKEN_ID}",
    ),
    "set_user": (
        lambda node: node.set_user(
            LOCAL, UserWish(name="bob", grants=(Grant(role="admin"),), password=PASSWORD), ignore
        ),
        Action.CHANGE_SECURITY,
        "set user bob: admin, a new password",
    ),
    "remove_user": (
        lambda node: node.remove_user(LOCAL, "ann", ignore),
        Action.CHANGE_SECURITY,
        "remove user ann",
    ),
    "set_role": (
        lambda node: node.set_role(LOCAL, CLERK, None, ignore),
        Action.CHANGE_SECURITY,
        "set role clerk: read, list",
    ),
    "remove_role": (
        lambda node: node.remove_role(LOCAL, "clerk", ignore),
        Action.CHANGE_SECURITY,
        "remove role clerk",
    ),
    "revoke_certificate": (
        lambda node: node.revoke_certificate(LOCAL, "a1", "n3", 0, ignore),
        Action.CHANGE_SECURITY,
        "revoke certificate a1 of n3",
    ),
}


def ignore(_result: Any) -> None: ...


each_security_call = pytest.mark.parametrize("name", OF_SECURITY)


def of_security(name: str, outcome: str) -> Told:
    _, action, subject = OF_SECURITY[name]
    return Told("local", action, None, None, outcome, subject)


def test_every_call_of_the_security_administration_is_in_the_table() -> None:
    public = {name for name in vars(SecurityAdministration) if not name.startswith("_")}
    assert public == set(OF_SECURITY)


@each_security_call
@pytest.mark.parametrize("level", LEVELS)
def test_a_security_change_is_told_of(name: str, level: AuditLevel) -> None:
    call, action, _ = OF_SECURITY[name]
    stage = Stage(level)
    call(stage.security)
    expected = level in ON and level.covers(LEVEL_OF[action])
    assert stage.told == [of_security(name, "ok")] * expected


@each_security_call
def test_a_security_change_that_is_refused_is_told_of_once(name: str) -> None:
    call, action, _ = OF_SECURITY[name]
    for level in ON:
        stage = Stage(level, SamePolicy(set(Action) - {action}))
        with pytest.raises(AccessDenied):
            call(stage.security)
        assert stage.told == [of_security(name, "access_denied")]


@each_security_call
def test_a_security_change_that_fails_is_told_of_by_its_code(name: str) -> None:
    call, action, _ = OF_SECURITY[name]
    stage = Stage(AuditLevel.ADMIN)
    stage.fakes.shared.error = StorageError("the disk has failed")
    call(stage.security)
    changes = action is Action.CHANGE_SECURITY
    assert stage.told == [of_security(name, "storage_failed")] * changes
    if name != "whoami":
        stage = Stage(AuditLevel.ALL)
        with pytest.raises(KvorumError):
            call(SecurityAdministration(stage.service, None))
        assert stage.told == [of_security(name, "open_cluster")]


def test_a_security_change_is_told_of_when_it_is_durable() -> None:
    stage = Stage(AuditLevel.ADMIN)
    stage.fakes.shared.holds_back = True
    OF_SECURITY["set_user"][0](stage.security)
    assert not stage.told
    stage.fakes.shared.held[0]()
    assert stage.told == [of_security("set_user", "ok")]


def test_no_secret_is_told() -> None:
    stage = Stage(AuditLevel.ALL)
    made: list[Any] = []
    stage.security.create_token(
        LOCAL, TokenWish(name="ci", grants=(Grant(role="admin"),)), made.append
    )
    OF_SECURITY["set_user"][0](stage.security)
    assert made[0].token not in repr(stage.told)
    assert PASSWORD not in repr(stage.told)


def test_every_action_has_a_call_or_a_request() -> None:
    called = {action for _, action, *_ in [*CALLS.values(), *OF_SECURITY.values()]}
    of_entries = {*REQUESTS, Action.SCAN, Action.EXPORT_RECORDS, Action.IMPORT_RECORDS}
    assert called | of_entries == set(Action)


# Requests of entries

REQUESTS: dict[Action, Request] = {
    Action.READ: Get("n", "k"),
    Action.WRITE: Put("n", "k", JSON, b"1"),
    Action.DELETE: Delete("n", "k"),
}


def test_every_kind_of_request_is_tried() -> None:
    assert set(REQUESTS) == set(ACTION_OF.values())


def submit(stage: Stage, request: Request) -> Heard:
    heard = Heard()
    stage.service.submit(LOCAL, request, heard)
    assert not stage.told, "it is under way"
    stage.node.answer(0)
    return heard


def of_entry(action: Action, outcome: str) -> Told:
    return Told("local", action, "n", "k", outcome, None)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("action", REQUESTS)
def test_a_request_is_told_of_when_it_is_answered(action: Action, level: AuditLevel) -> None:
    stage = Stage(level)
    stage.node.damaged = True  # a delete of nothing succeeds
    [answer] = submit(stage, REQUESTS[action]).came
    assert isinstance(answer, Answer)
    expected = level in ON and level.covers(LEVEL_OF[action])
    assert stage.told == [of_entry(action, "ok")] * expected


@pytest.mark.parametrize("action", REQUESTS)
def test_a_request_that_fails_is_told_of_by_its_code(action: Action) -> None:
    stage = Stage(AuditLevel.ALL)
    stage.node.failure = Failure.of(QuorumError("2 of 3"))
    submit(stage, REQUESTS[action])
    assert stage.told == [of_entry(action, "quorum_not_met")]


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [(StorageError("no"), "storage_failed"), (ZeroDivisionError(), "internal_error")],
)
def test_what_the_face_makes_of_an_answer_is_the_outcome(raised: Exception, outcome: str) -> None:
    stage = Stage(AuditLevel.ALL)
    heard = Heard()
    heard.raises = raised
    stage.service.submit(LOCAL, REQUESTS[Action.READ], heard)
    stage.node.answer(0)
    assert stage.told == [of_entry(Action.READ, outcome)]


@pytest.mark.parametrize("level", ON)
@pytest.mark.parametrize("action", REQUESTS)
def test_a_request_that_is_refused_is_told_of_once(action: Action, level: AuditLevel) -> None:
    stage = Stage(level, SamePolicy(set(Action) - {action}))
    attempts: list[Callable[[], object]] = [
        lambda: stage.service.submit(LOCAL, REQUESTS[action], Heard()),
        lambda: stage.service.reserve(LOCAL, 1, 1).submit(LOCAL, REQUESTS[action], print),
    ]
    for attempt in attempts:
        stage.told.clear()
        with pytest.raises(AccessDenied):
            attempt()
        assert stage.told == [of_entry(action, "access_denied")]


def test_a_request_for_which_there_is_no_room_is_told_of() -> None:
    stage = Stage(AuditLevel.WRITES, in_flight=0)
    with pytest.raises(Overloaded):
        stage.service.submit(LOCAL, REQUESTS[Action.WRITE], Heard())
    assert stage.told == [of_entry(Action.WRITE, "overloaded")]


def test_a_lifetime_is_a_write() -> None:
    stage = Stage(AuditLevel.WRITES)
    submit(stage, Touch("n", "k"))
    assert stage.told == [of_entry(Action.WRITE, "not_found")]


@pytest.mark.parametrize("level", ON)
def test_each_operation_of_a_list_is_told_of(level: AuditLevel) -> None:
    stage = Stage(level)
    places, came = stage.service.reserve(LOCAL, 4, 4), list[Any]()
    for request in (REQUESTS[Action.WRITE], REQUESTS[Action.READ], REQUESTS[Action.DELETE]):
        places.submit(LOCAL, request, came.append)
        stage.node.answer(0)
    places.submit(LOCAL, Get("n", "away"), came.append)
    stage.node.answer(0)
    assert len(came) == 4
    every = [
        of_entry(Action.WRITE, "ok"),
        of_entry(Action.READ, "ok"),
        of_entry(Action.DELETE, "ok"),
        Told("local", Action.READ, "n", "away", "not_found", None),
    ]
    assert stage.told == [told for told in every if level.covers(LEVEL_OF[Action(told.action)])]


def test_records_that_are_imported_are_told_of_one_by_one() -> None:
    stage = Stage(AuditLevel.WRITES)
    stage.node.unable = {"bad": Failure.of(StorageError("the disk has failed"))}
    places = stage.service.reserve(LOCAL, 2, 2)

    def begin() -> None:
        for key in ("k", "bad"):
            places.ingest(LOCAL, "n", key, EMPTY, 0, lambda _result: None)

    begin_and_settle(stage, begin)
    assert [(told.action, told.key, told.outcome) for told in stage.told] == [
        (Action.IMPORT_RECORDS, "k", "ok"),
        (Action.IMPORT_RECORDS, "bad", "storage_failed"),
    ]


@pytest.mark.parametrize("level", ON)
def test_listings_are_told_of_with_their_prefix(level: AuditLevel) -> None:
    stage = Stage(level)

    def begin() -> None:
        stage.service.scan(LOCAL, Selection("n", "a/"), Heard())
        stage.service.export(LOCAL, Selection("n", "b/"), Heard())

    begin_and_settle(stage, begin)
    exported = Told("local", Action.EXPORT_RECORDS, "n", "b/", "ok", None)
    scanned = Told("local", Action.SCAN, "n", "a/", "ok", None)
    assert stage.told == ([scanned, exported] if level is AuditLevel.ALL else [exported])


@pytest.mark.parametrize("level", [AuditLevel.OFF, AuditLevel.ADMIN])
def test_nothing_runs_for_requests_that_nobody_wants_to_hear_of(level: AuditLevel) -> None:
    assert service_for(ListeningAuditor(level)) is Service
    assert service_for(UNAUDITED) is Service

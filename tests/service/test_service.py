"""The door by itself: whom it lets in, in which order it refuses, when places are free again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, get_args

import pytest
from kit.node import SECRET, FakeNode, actor_name

from kvorum.model.errors import AccessDenied, KvorumError, Overloaded, QuorumError, RequestError
from kvorum.model.record import EMPTY, JSON
from kvorum.model.request import (
    Answer,
    Change,
    Delete,
    Failure,
    Get,
    Listing,
    Put,
    Request,
    Result,
    Selection,
    Touch,
)
from kvorum.service.access import OPEN, Policy, SamePolicy
from kvorum.service.action import ACTION_OF, Action
from kvorum.service.limits import ServiceLimits
from kvorum.service.principal import ANONYMOUS, LOCAL, Principal
from kvorum.service.reply import Reply
from kvorum.service.service import Service

PUT = Put("default", "k", JSON, b"1")
GET = Get("default", "k")


class Told(Reply[Any]):
    """A reply that keeps what it is told."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.refusals: list[KvorumError] = []
        self.failed = 0
        self.raises: Exception | None = None

    def answer(self, result: Any) -> None:
        if self.raises is not None:
            raise self.raises
        self.answers.append(result)

    def refuse(self, error: KvorumError) -> None:
        self.refusals.append(error)

    def fail(self) -> None:
        self.failed += 1


class Stage:
    """A service, and a node that answers when the test lets it."""

    def __init__(self, policy: Policy = OPEN, in_flight: int = 2) -> None:
        self.node = FakeNode()
        self.node.holding = True
        limits = ServiceLimits(in_flight=in_flight)
        self.service = Service(self.node, SECRET, actor_name, limits, policy)

    def submit(self, request: Request = GET, principal: Principal = ANONYMOUS) -> Told:
        told = Told()
        self.service.submit(principal, request, told)
        return told

    @property
    def in_flight(self) -> int:
        return self.service.admission.in_flight


def test_a_request_reaches_the_node_and_its_answer_the_face() -> None:
    stage = Stage()
    told = stage.submit(PUT)
    assert stage.node.requests == [PUT]
    assert told.answers == []
    stage.node.answer(0)
    [answer] = told.answers
    assert isinstance(answer, Answer)
    assert answer.created


def test_a_failure_is_told_as_the_error_that_it_is() -> None:
    stage = Stage()
    told = stage.submit()
    stage.node.failure = Failure.of(QuorumError("2 of 3", outcome="unknown", needed=2))
    stage.node.answer(0)
    [error] = told.refusals
    assert isinstance(error, QuorumError)
    assert (error.needed, error.outcome) == (2, "unknown")


def test_there_is_no_room_beyond_the_limit_until_one_is_answered() -> None:
    stage = Stage(in_flight=2)
    stage.submit()
    stage.submit()
    for refused in (
        stage.submit,
        lambda: scan(stage.service),
        lambda: stage.service.reserve(LOCAL, 1, 1),
    ):
        with pytest.raises(Overloaded) as caught:
            refused()
        assert caught.value.details == {"retry_after": 1}
    assert len(stage.node.requests) == 2
    stage.node.answer(0)
    stage.submit()
    assert stage.in_flight == 2


def scan(service: Service) -> Told:
    told = Told()
    service.scan(ANONYMOUS, Selection("default", limit=10), told)
    return told


@pytest.mark.parametrize(
    ("raised", "refused", "failed"),
    [(None, 0, 0), (RequestError("wanted another"), 1, 0), (ZeroDivisionError(), 0, 1)],
)
def test_a_place_is_given_back_whatever_the_face_makes_of_the_answer(
    raised: Exception | None, refused: int, failed: int
) -> None:
    stage = Stage()
    told = stage.submit()
    told.raises = raised
    stage.node.answer(0)
    assert (len(told.refusals), told.failed) == (refused, failed)
    assert stage.in_flight == 0


def test_a_page_takes_a_place_too() -> None:
    stage = Stage(in_flight=1)

    async def play() -> None:
        for ask in (stage.service.scan, stage.service.export):
            told = Told()
            ask(LOCAL, Selection("default", limit=10), told)
            assert stage.in_flight == 1
            while not told.answers:
                await asyncio.sleep(0)
            assert isinstance(told.answers[0], Listing)
            assert stage.in_flight == 0

    asyncio.run(play())


# A list


def test_a_list_has_its_places_until_it_is_released() -> None:
    stage = Stage(in_flight=3)
    places = stage.service.reserve(LOCAL, 2, 2)
    results: list[Result] = []
    for _ in range(2):
        places.submit(ANONYMOUS, GET, results.append)
    stage.node.answer(0)
    assert stage.in_flight == 2
    stage.submit()
    with pytest.raises(Overloaded):
        stage.service.reserve(LOCAL, 1, 1)
    stage.node.answer(0)
    assert len(results) == 2
    places.release()
    assert stage.in_flight == 1


def test_a_list_that_finds_no_room_takes_none() -> None:
    stage = Stage(in_flight=3)
    with pytest.raises(Overloaded):
        stage.service.reserve(LOCAL, 4, 4)
    assert stage.in_flight == 0


# Permission


class Asked:
    """A policy that notes what it is asked, and says no."""

    def __init__(self) -> None:
        self.asked: list[tuple[Principal, Action, str | None, str | None]] = []

    def allows(
        self, principal: Principal, action: Action, namespace: str | None, key: str | None, /
    ) -> bool:
        self.asked.append((principal, action, namespace, key))
        return False


REQUESTS: list[tuple[Request, Action]] = [
    (Get("n", "a"), Action.READ),
    (Put("n", "a", JSON, b"1"), Action.WRITE),
    (Touch("n", "a", 60), Action.WRITE),
    (Delete("n", "a"), Action.DELETE),
]
Door = Callable[[Service, Request], object]
DOORS: dict[str, Door] = {
    "submit": lambda service, request: service.submit(LOCAL, request, Told()),
    "in a list": lambda service, request: service.reserve(LOCAL, 1, 1).submit(
        LOCAL, request, print
    ),
}


@pytest.mark.parametrize(("request_", "action"), REQUESTS, ids=[a for _, a in REQUESTS])
@pytest.mark.parametrize("door", DOORS)
def test_a_request_is_judged_by_who_what_and_where(
    request_: Request, action: Action, door: str
) -> None:
    policy = Asked()
    stage = Stage(policy)
    with pytest.raises(AccessDenied, match=r"local has no permission '.*'.* in the.* 'n'"):
        DOORS[door](stage.service, request_)
    assert policy.asked == [(LOCAL, action, "n", "a")]
    assert stage.node.requests == []


def test_what_is_refused_takes_no_place() -> None:
    stage = Stage(SamePolicy(()))
    with pytest.raises(AccessDenied):
        stage.submit()
    with pytest.raises(AccessDenied):
        scan(stage.service)
    assert stage.in_flight == 0


def test_permission_comes_before_admission() -> None:
    """Who may not ask is not told how busy the node is."""
    stage = Stage(SamePolicy({Action.READ}), in_flight=1)
    stage.submit(GET)
    with pytest.raises(AccessDenied):
        stage.submit(PUT)


def test_pages_and_records_are_judged_as_what_they_are() -> None:
    policy = Asked()
    service = Stage(policy).service
    attempts: list[Callable[[], object]] = [
        lambda: service.scan(LOCAL, Selection("n", limit=1), Told()),
        lambda: service.export(LOCAL, Selection("n", limit=1), Told()),
        lambda: service.reserve(LOCAL, 1, 1).ingest(LOCAL, "n", "a", EMPTY, 0, print),
    ]
    for attempt in attempts:
        with pytest.raises(AccessDenied):
            attempt()
    assert policy.asked == [
        (LOCAL, Action.SCAN, "n", ""),
        (LOCAL, Action.EXPORT_RECORDS, "n", ""),
        (LOCAL, Action.IMPORT_RECORDS, "n", "a"),
    ]


def test_every_kind_of_request_has_an_action() -> None:
    assert set(ACTION_OF) == {Get, *get_args(Change)}


@pytest.mark.parametrize("action", list(Action))
def test_an_action_that_is_not_listed_is_refused(action: Action) -> None:
    others = SamePolicy(set(Action) - {action})
    assert not others.allows(LOCAL, action, "n", "a")
    assert SamePolicy({action}).allows(ANONYMOUS, action, None, None)

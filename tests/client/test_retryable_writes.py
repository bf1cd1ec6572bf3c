"""Writes of unknown outcome: when they are repeated, and that no other client's write is harmed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.http_store import StoreDouble, answer, cut_short, hang_up, keep_silent, problem

import kvorum
import kvorum.aio
from kvorum.client import requests
from kvorum.client.answers import Answer
from kvorum.client.entry import ClockEntry, Entry
from kvorum.client.questions import put_of
from kvorum.client.requests import ABSENT, Lifetime, Request, Subject
from kvorum.client.retryable_writes import TRACE_S, Unsettled, repetition, settle
from kvorum.model.errors import (
    ConfigError,
    ConnectionFailed,
    KvorumError,
    NotFound,
    Overloaded,
    PreconditionFailed,
    QuorumError,
    TimeoutExpired,
)

OURS, THEIRS, BEFORE = '"ours"', '"theirs"', '"before"'


def set_of(
    version: str | None = None,
    condition: requests.Pairs = (),
    lifetime: Lifetime = requests.DEFAULT_LIFETIME,
    value: Any = "ours",
) -> Request:
    put = put_of("k", value, version, None, lifetime)
    return requests.put(Subject(None, "k", version is None), put.body, None, None, condition)


class Held(NamedTuple):
    value: str | None
    version: str
    by: str


@dataclass
class World:
    """One key at a server that answers at once or loses its answer, and another client's writes.

    `fates` says for each of our requests what becomes of it, `others` what the other client does
    before it; each of these is acknowledged.
    """

    fates: Iterator[str]
    others: Iterator[str]
    held: Held | None = None
    applied: list[Held] = field(default_factory=list)
    sent: int = 0
    """How many writes we have sent."""
    wronged: list[tuple[Held, Request]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # The port of `settle`

    def now(self) -> float:
        return 0.0

    def pauses(self) -> Iterator[float]:
        return iter([0.0] * 4)

    async def carry_out(self, request: Request, deadline: float, *, hasty: bool = False) -> Answer:
        self._other_acts(next(self.others))
        fate = next(self.fates)
        self.sent += not request.safe
        if fate == "refused":
            raise Overloaded("Busy.")
        if fate == "lost before":
            raise ConnectionFailed("Lost.", outcome="none" if request.safe else "unknown")
        answer = self._read() if request.safe else self._write(request)
        if fate == "lost after":
            raise ConnectionFailed("Lost.", outcome="none" if request.safe else "unknown")
        return answer

    def _other_acts(self, act: str) -> None:
        if act == "delete" and self.held is not None:
            self.held = Held(None, self._version(), "them")
        elif act in (OURS, THEIRS):
            self.held = Held(act, self._version(), "them")

    def _version(self) -> str:
        return f"v{next(self.numbers)}"

    def _read(self) -> Answer:
        if self.held is None:
            raise NotFound("No such key.")
        if self.held.value is None:
            raise NotFound("No such key.", valueVersion=self.held.version)
        metadata = {"valueVersion": self.held.version}
        body = {"value": msgspec.Raw(self.held.value.encode()), "metadata": metadata}
        return Answer(200, msgspec.json.encode(body))

    def _write(self, request: Request) -> Answer:
        live = self.held is not None and self.held.value is not None
        for name, tag in request.condition:
            if name == "if-none-match" and live:
                raise PreconditionFailed("There is one.")
            if name == "if-match" and (self.held is None or tag != f'"{self.held.version}"'):
                raise PreconditionFailed("Another version.")
        if request.method == "DELETE" and not live:
            raise NotFound("No such key.")
        value = OURS if request.method == "POST" else None
        if live and self.held is not None and self.held.value == value:
            self.applied.append(self.held)  # The same value again makes no new version.
            return Answer(200, b"{}")
        if self.sent > 1 and self.held is not None and self.held.by == "them":
            self.wronged.append((self.held, request))
        self.held = Held(value, self._version(), "us")
        self.applied.append(self.held)
        return Answer(200, b"{}")


FATES = st.sampled_from(["answered", "lost before", "lost after", "refused"])
OTHERS = st.sampled_from(["nothing", OURS, THEIRS, "delete"])
WRITES = [
    set_of(),
    set_of("v0"),
    set_of(condition=requests.condition("v0")),
    set_of("v0", requests.condition("v0")),
    set_of(condition=ABSENT),
    requests.delete("k", None, None, None),
    requests.delete("k", "v0", None, None),
    requests.delete("k", None, None, None, None, requests.condition("v0")),
]


@settings(max_examples=500)
@given(
    st.sampled_from(WRITES),
    st.lists(FATES, min_size=1, max_size=12),
    st.lists(OTHERS, min_size=1, max_size=12),
    st.sampled_from([None, BEFORE, OURS]),
)
def test_a_repetition_replaces_no_write_of_another_client_and_success_means_applied(
    request: Request, fates: list[str], others: list[str], before: str | None
) -> None:
    world = World(itertools.chain(fates, itertools.repeat("answered")), itertools.cycle(others))
    world.held = None if before is None else Held(before, "v0", "earlier")

    async def call() -> None:
        try:
            await world.carry_out(request, 1.0)
        except KvorumError as error:
            if error.outcome == "unknown":
                await settle(world, Unsettled(request, error, 0.0), 1.0)
            else:
                raise

    try:
        asyncio.run(call())
    except KvorumError as error:
        if error.outcome == "none":
            assert not world.applied
    else:
        assert world.applied
        assert not request.condition or any(held.by != "them" for held in world.applied)
    assert world.wronged == []


@pytest.mark.parametrize("write", [set_of(), set_of("v0")])
def test_a_repetition_that_is_lost_too_is_looked_up_in_turn(write: Request) -> None:
    fates = ["lost before", "answered", "lost after", "answered", "answered"]
    world = World(iter(fates), itertools.repeat("nothing"))
    world.held = Held(BEFORE if write.about and not write.about.blind else OURS, "v0", "earlier")

    async def call() -> None:
        with pytest.raises(ConnectionFailed) as caught:
            await world.carry_out(write, 1.0)
        await settle(world, Unsettled(write, caught.value, 0.0), 1.0)

    asyncio.run(call())
    assert world.sent == 3
    assert world.held is not None
    assert world.held.value == OURS


def found(value: bytes = OURS.encode(), **more: Any) -> Entry:
    return Entry("k", value, **{"version": "v7", **more})


ABSENT_NOW = NotFound("No such key.")
DELETED = NotFound("No such key.", valueVersion="v7")
NAMED = requests.condition("v7")


@pytest.mark.parametrize(
    ("write", "there"),
    [
        (set_of("v7"), found(b"1")),
        (set_of(condition=NAMED), found(b"1")),
        (requests.delete("k", "v7", None, None), found(b"1")),
        (requests.delete("k", None, None, None, None, NAMED), found(b"1")),
        (requests.touch("k", "v7", Lifetime(5), None, None), found(b"1")),
        (set_of(), found()),
        (set_of("v3"), found()),
        (set_of(value=b"\x01"), found(b'"AQ=="', binary=True)),
        (set_of(lifetime=Lifetime(expires_at=5000)), found(expires_at=5000)),
        (
            set_of(lifetime=Lifetime(60)),
            found(expires_at=160_100, clock=(ClockEntry("n1", 7, 100_000),)),
        ),
        (set_of(lifetime=Lifetime(0)), found()),
    ],
)
def test_it_is_repeated_from_the_version_that_was_read(write: Request, there: Entry) -> None:
    again = repetition(write, there, 1.0)
    assert again is not None
    assert again.condition == (("if-match", '"v7"'),)
    assert b"valueVersion" not in again.body
    assert "valueVersion" not in dict(again.query)
    assert (again.method, again.path, again.about) == (write.method, write.path, write.about)


def test_a_key_without_a_trace_is_written_if_it_is_still_absent() -> None:
    for write in (set_of(), set_of(condition=ABSENT)):
        again = repetition(write, ABSENT_NOW, 1.0)
        assert again is not None
        assert again.condition == ABSENT
        assert again.body == write.body


@pytest.mark.parametrize(
    ("write", "there"),
    [
        (set_of(), found(b"1")),
        (set_of("v3"), found(b"1")),
        (set_of(condition=requests.condition("v3")), found()),
        (set_of(condition=ABSENT), found()),
        (set_of(), found(siblings=(object(), object()))),
        (set_of(), found(strict=False)),
        (set_of(value=b"\x01"), found(b'"AQ=="')),
        (set_of(value=b"\x01"), found(b'"AQ=="', binary=True, content_type="image/png")),
        (set_of(), found(expires_at=5000)),
        (set_of(lifetime=Lifetime(0)), found(expires_at=5000)),
        (set_of(lifetime=Lifetime(60)), found()),
        (
            set_of(lifetime=Lifetime(60)),
            found(expires_at=161_000, clock=(ClockEntry("n1", 7, 100_000),)),
        ),
        (set_of(), DELETED),
        (set_of(), NotFound("No such key.", strict=False)),
        (requests.delete("k", None, None, None), ABSENT_NOW),
        (requests.delete("k", None, None, None), found()),
        (requests.touch("k", None, Lifetime(5), None, None), found()),
        (requests.touch("k", "v3", Lifetime(5), None, None), found()),
    ],
)
def test_what_is_doubtful_is_not_repeated(write: Request, there: Entry | NotFound) -> None:
    assert repetition(write, there, 1.0) is None


def test_after_a_while_a_key_without_a_trace_may_have_been_deleted() -> None:
    assert repetition(set_of(), ABSENT_NOW, TRACE_S) is None


class TestCalls:
    """The same through the client, at a server that loses answers."""

    def test_a_set_that_was_carried_out_is_found_and_repeated(self, store: StoreDouble) -> None:
        with kvorum.connect(store.address, retry_unknown=True) as client:
            store.script(cut_short(0))
            assert client.set("k", 1).value == 1
        assert [seen.method for seen in store.requests] == ["POST", "GET", "POST"]
        assert store.requests[-1].headers["if-match"] == '"v1"'
        assert store.value("k") == 1

    def test_a_set_that_never_arrived_is_repeated(self, store: StoreDouble) -> None:
        with kvorum.connect(f"{store.url}?retry_unknown=true") as client:
            store.script(hang_up())
            assert client.set("k", 1).created
        assert store.requests[-1].headers["if-none-match"] == "*"

    def test_a_server_that_hangs_leaves_time_for_another(self, store: StoreDouble) -> None:
        with kvorum.connect(store.address, retry_unknown=True) as client:
            version = client.set("k", 1).version
            store.script(keep_silent())
            assert client.set("k", 2, version=version, timeout=1.0).value == 2
        assert store.value("k") == 2

    def test_what_another_client_has_written_stays(self, store: StoreDouble) -> None:
        store.put("k", "theirs")
        with kvorum.connect(store.address, retry_unknown=True) as client:
            store.script(hang_up())
            with pytest.raises(ConnectionFailed) as caught:
                client.set("k", 1)
        assert caught.value.outcome == "unknown"
        assert store.value("k") == "theirs"

    def test_a_delete_from_a_version_is_repeated_while_that_stands(
        self, store: StoreDouble
    ) -> None:
        with kvorum.connect(store.address, retry_unknown=True) as client:
            version = client.set("k", 1).version
            store.script(hang_up())
            assert client.delete("k", version=version).value == 1

    def test_the_key_is_read_as_its_namespace_says(self, store: StoreDouble) -> None:
        with kvorum.connect(store.address, retry_unknown=True, r=1, quorum="sloppy") as client:
            store.script(cut_short(0))
            client.set("k", 1)
        read = store.requests[1]
        assert read.method == "GET"
        assert "r" not in read.query
        assert read.query["quorum"] == "strict"

    def test_it_is_off_unless_asked_for(self, store: StoreDouble) -> None:
        with kvorum.connect(store.address) as client:
            store.script(cut_short(0))
            with pytest.raises(ConnectionFailed):
                client.set("k", 1)
        assert len(store.requests) == 1

    def test_a_server_that_says_it_does_not_know_is_asked_about(self, store: StoreDouble) -> None:
        with kvorum.connect(store.address, retry_unknown=True) as client:
            store.script(answer(problem(503, "quorum_not_met", outcome="unknown")))
            assert client.set("k", 1).created

    def test_without_an_answer_to_the_read_the_first_error_is_told(
        self, store: StoreDouble
    ) -> None:
        with kvorum.connect(store.address, retry_unknown=True, retries=2, backoff=0.0) as client:
            unknown = answer(problem(503, "quorum_not_met", outcome="unknown"))
            store.script(unknown, *[answer(problem(503, "overloaded"))] * 50)
            with pytest.raises(QuorumError) as caught:
                client.set("k", 1)
        assert caught.value.outcome == "unknown"

    def test_a_call_may_ask_for_it_and_may_do_without(self, store: StoreDouble) -> None:
        with kvorum.connect(store.address) as client:
            store.script(cut_short(0))
            assert client.set("k", 1, retry_unknown=True).value == 1
        with kvorum.connect(store.address, retry_unknown=True) as client:
            store.script(cut_short(0))
            with pytest.raises(ConnectionFailed):
                client.set("k", 2, retry_unknown=False)
            with pytest.raises(ConfigError, match=r"^retry_unknown is 'yes'"):
                client.delete("k", retry_unknown="yes")

    def test_items_of_a_list_are_looked_up_one_by_one(self, store: StoreDouble) -> None:
        store.put("b", "theirs")
        with kvorum.connect(store.address, retry_unknown=True) as client:
            store.script(hang_up())
            a, b, c = client.set_many({"a": 1, "b": 2, "c": 3}, w=2)
            assert isinstance(a, kvorum.Entry)
            assert isinstance(c, kvorum.Entry)
            assert isinstance(b, ConnectionFailed)
            assert b.outcome == "unknown"
        assert store.values() == {"a": 1, "b": "theirs", "c": 3}
        repeated = [seen for seen in store.requests if seen.path == "/entry"]
        assert {seen.query["w"] for seen in repeated} == {"2"}

    def test_items_that_were_stored_are_found(self, store: StoreDouble) -> None:
        with kvorum.connect(store.address) as client:
            store.script(cut_short(0))
            results = client.set_many({f"k{n}": n for n in range(20)}, retry_unknown=True)
        assert [isinstance(result, kvorum.Entry) for result in results] == [True] * 20

    def test_the_deadline_holds_for_all_of_it(self, store: StoreDouble) -> None:
        with kvorum.connect(store.address, retry_unknown=True) as client:
            store.script(*[keep_silent()] * 50)
            with pytest.raises(TimeoutExpired) as caught:
                client.set("k", 1, timeout=0.4)
        assert caught.value.outcome == "unknown"

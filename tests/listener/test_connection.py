"""One connection of a protocol that is not HTTP: order, back-pressure, and when it is given up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.one_connection import LIMITS, OneConnection
from kit.toy_protocol import ToyFace

from kvorum.listener.limits import ListenerLimits


class Stage(OneConnection):
    def __init__(self, limits: ListenerLimits = LIMITS) -> None:
        self.face = ToyFace()
        super().__init__(self.face, limits)
        self.connect()

    def send(self, *lines: str) -> None:
        self.connection.data_received("".join(f"{line}\n" for line in lines).encode())

    @property
    def said(self) -> list[str]:
        return self.wire.sent.decode().splitlines()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_answers_leave_in_the_order_of_requests(stage: Stage) -> None:
    stage.send("get a", "get b", "get c")
    assert stage.face.asked == ["get a", "get b", "get c"]
    stage.face.answer(2)
    stage.face.answer(1)
    assert stage.said == []
    stage.face.answer(0)
    assert stage.said == ["GET A", "GET B", "GET C"]
    assert stage.wire.writes == 1


def test_what_may_change_something_is_done_alone_and_in_its_turn(stage: Stage) -> None:
    stage.send("get a", "get b", "put c", "get d", "put e", "put f")
    turns = []
    while stage.face.asked:
        turns.append(stage.face.asked)
        for _ in turns[-1]:
            stage.face.answer()
    assert turns == [["get a", "get b"], ["put c"], ["get d"], ["put e"], ["put f"]]
    assert stage.said == ["GET A", "GET B", "PUT C", "GET D", "PUT E", "PUT F"]


def test_only_a_few_are_carried_out_side_by_side() -> None:
    stage = Stage(replace(LIMITS, parallel=2))
    stage.send("get a", "get b", "get c")
    assert stage.face.asked == ["get a", "get b"]
    stage.face.answer(0)
    assert stage.face.asked == ["get b", "get c"]


@given(
    verbs=st.lists(st.sampled_from(["get", "get", "put"]), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 90), max_size=5).map(sorted),
    choices=st.lists(st.integers(0, 11), min_size=12, max_size=12),
)
def test_any_cut_and_any_order_of_answers(
    verbs: list[str], cuts: list[int], choices: list[int]
) -> None:
    stage = Stage(replace(LIMITS, pipeline=3, parallel=2))
    lines = [f"{verb} {i}" for i, verb in enumerate(verbs)]
    sent = "".join(f"{line}\n" for line in lines).encode()
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        stage.connection.data_received(sent[start:end])
    for choice in choices:
        under_way = stage.face.asked
        if not under_way:
            break
        assert len(under_way) == 1 or all(asked.startswith("get") for asked in under_way)
        assert len(under_way) <= 2
        stage.face.answer(choice % len(under_way))
    assert stage.said == [line.upper() for line in lines]


def test_a_refusal_has_its_place_like_any_answer(stage: Stage) -> None:
    stage.send("get a", "get nothing", "get fault", "get b")
    stage.face.answer(1)
    stage.face.answer(0)
    assert stage.said == ["GET A", "! bad_request", "! fault", "GET B"]


@pytest.mark.parametrize(("line", "code"), [("nonsense", "bad_request"), ("fault", "fault")])
def test_what_is_no_request_ends_the_connection(stage: Stage, line: str, code: str) -> None:
    stage.send("get a", line, "get b")
    assert stage.said == []
    stage.face.answer()
    assert stage.said == ["GET A", f"! {code} (end)"]
    assert stage.wire.ended
    assert stage.face.asked == []


def test_nothing_is_read_behind_the_last_request(stage: Stage) -> None:
    stage.send("bye a", "get b", "nonsense")
    assert stage.face.asked == ["bye a"]
    stage.send("get c")
    stage.face.answer()
    assert stage.said == ["BYE A (end)"]
    assert stage.wire.ended
    assert not stage.wire.closed
    stage.turn(3)
    assert stage.wire.closed


def test_a_client_that_sends_no_more_gets_its_answers(stage: Stage) -> None:
    stage.send("get a", "put b")
    assert stage.connection.eof_received()
    stage.face.answer()
    stage.face.answer()
    assert stage.said == ["GET A", "PUT B (end)"]
    assert stage.wire.closed


def test_an_interjection_waits_for_the_answers_that_are_owed(stage: Stage) -> None:
    stage.send("wait")
    assert stage.said == ["waiting"]
    stage.send("get a", "wait")
    stage.face.answer()
    assert stage.said == ["waiting", "GET A", "waiting"]
    stage.send("get b", "wait", "get c")
    stage.face.answer()
    stage.face.answer()
    assert stage.said[3:] == ["GET B", "GET C"]


# Back-pressure


def test_no_more_is_read_while_too_many_wait() -> None:
    stage = Stage(replace(LIMITS, pipeline=2))
    for name in "abc":
        stage.send(f"put {name}")
    assert not stage.wire.reading
    assert stage.face.sessions[0].begun == 2
    stage.face.answer()
    assert stage.face.sessions[0].begun == 3
    assert stage.wire.reading


def test_nothing_is_begun_while_the_client_does_not_read(stage: Stage) -> None:
    stage.send("put a", "put b")
    stage.connection.pause_writing()
    stage.face.answer()
    stage.send("put c")
    assert stage.face.asked == []
    assert not stage.wire.reading
    stage.connection.resume_writing()
    assert stage.face.asked == ["put b"]
    stage.face.answer()
    stage.face.answer()
    assert stage.said == ["PUT A", "PUT B", "PUT C"]


def test_answers_that_cannot_leave_yet_are_bounded() -> None:
    stage = Stage(replace(LIMITS, unread_high_bytes=1000, parallel=8))
    stage.send("get a", "get b", "get c", "put d", "get e")
    stage.face.answer(1, size=600)
    stage.face.answer(1, size=600)
    assert stage.connection.unread > 1000
    assert stage.face.asked == ["get a"]
    stage.face.answer()
    assert stage.face.asked == ["put d"]
    assert stage.connection.unread == 0


def test_a_large_request_is_held_until_its_answer(stage: Stage) -> None:
    stage.send("hold 500", "hold 300")
    assert stage.held == 800
    stage.face.answer()
    assert stage.held == 300
    stage.connection.connection_lost(None)
    assert stage.held == 300
    stage.face.answer()
    assert stage.held == 0


def test_what_waits_when_the_client_goes_is_held_no_longer(stage: Stage) -> None:
    stage.send("put a", "hold 500")
    stage.connection.connection_lost(None)
    assert stage.held == 0
    assert stage.face.sessions[0].closed


# The sweep


def test_a_silent_connection_is_closed(stage: Stage) -> None:
    stage.turn(75)
    assert not stage.wire.closed
    stage.turn(1)
    assert stage.wire.closed


def test_a_request_that_never_ends_is_refused(stage: Stage) -> None:
    stage.connection.data_received(b"get ")
    for _ in range(10):
        stage.connection.data_received(b"x")
        stage.turn(1)
    assert stage.said == []
    stage.turn(1)
    assert stage.said == ["! request_too_slow (end)"]


def test_waiting_for_the_node_is_not_silence(stage: Stage) -> None:
    stage.send("get a")
    assert not stage.connection.is_idle
    stage.turn(1000)
    stage.face.answer()
    assert stage.said == ["GET A"]
    assert stage.connection.is_idle


def test_a_client_that_takes_nothing_is_cut_off(stage: Stage) -> None:
    stage.send("get a")
    stage.face.answer()
    stage.turn(1)
    stage.wire.unread = 5
    stage.turn(29)
    assert not stage.wire.closed
    stage.turn(1)
    assert stage.wire.closed


# Ends


def test_a_drain_closes_what_is_idle_and_lets_the_others_end(stage: Stage) -> None:
    idle = Stage()
    idle.connection.drain()
    assert idle.wire.closed
    stage.send("get a", "get b")
    stage.connection.drain()
    stage.face.answer()
    stage.send("get c")
    stage.face.answer()
    assert stage.said == ["GET A", "GET B (end)"]
    assert stage.face.asked == []


def test_a_drain_waits_for_a_request_that_has_begun(stage: Stage) -> None:
    stage.connection.data_received(b"put ")
    stage.connection.drain()
    stage.send("a", "get b")
    stage.face.answer()
    assert stage.said == ["PUT A (end)"]
    assert stage.face.asked == []


def test_too_many_connections() -> None:
    stage = Stage.__new__(Stage)
    stage.face = ToyFace()
    OneConnection.__init__(stage, stage.face)
    stage.full = True
    stage.connect()
    assert stage.said == ["! overloaded (end)"]
    assert stage.wire.closed

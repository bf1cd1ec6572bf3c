"""One connection on a wire of the test's own: slow and silent clients, and backpressure.

The sweeper's ticks are the only clock here, and the tests turn it.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from kit.node import FakeNode
from kit.one_connection import LIMITS, OneConnection
from kit.web import NAMES, Web, request, routes_of

from kvorum.api.http.face import HttpFace
from kvorum.api.http.limits import HttpLimits
from kvorum.api.http.response import Heads
from kvorum.listener.limits import ListenerLimits

GET = request("GET", "/status")
SLOW_GET = request("GET", "/entry/k")


class Stage(OneConnection):
    """A connection of HTTP, to a node that answers when the test lets it."""

    def __init__(self, limits: ListenerLimits = LIMITS, http: HttpLimits | None = None) -> None:
        self.node = FakeNode()
        self.node.holding = True
        super().__init__(HttpFace(routes_of(self.node), http, NAMES), limits)
        self.connect()

    @property
    def statuses(self) -> list[bytes]:
        return [part[:3] for part in self.wire.sent.split(b"HTTP/1.1 ")[1:]]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize("begun", [b"G", GET[:-1], b"POST /entry HTTP/1.1\r\nHost: a\r\nContent-L"])
def test_a_request_that_never_ends(stage: Stage, begun: bytes) -> None:
    stage.connection.data_received(begun)
    stage.turn(10)
    assert stage.wire.sent == b""
    stage.turn(1)
    assert stage.statuses == [b"408"]
    assert b"Connection: close" in stage.wire.sent
    assert stage.wire.ended


def test_dripping_does_not_help(stage: Stage) -> None:
    body = request("POST", "/entry", b'{"key":"k","value":"%b"}' % (b"x" * 100))
    for i in range(12):
        stage.connection.data_received(body[i * 8 : i * 8 + 8])
        stage.turn(1)
    assert stage.statuses == [b"408"]


def test_every_request_has_its_own_time(stage: Stage) -> None:
    for _ in range(5):
        stage.connection.data_received(GET[:20])
        stage.turn(8)
        stage.connection.data_received(GET[20:])
    assert stage.statuses == [b"200"] * 5


def test_the_time_of_a_request_does_not_begin_anew_with_the_next(stage: Stage) -> None:
    stage.connection.data_received(GET + GET[:20])
    stage.turn(11)
    assert stage.statuses == [b"200", b"408"]


def test_a_refusal_waits_for_the_answers_before_it(stage: Stage) -> None:
    stage.connection.data_received(SLOW_GET + GET[:20])
    stage.turn(20)
    assert stage.wire.sent == b""
    stage.node.answer(0)
    assert stage.statuses == [b"404", b"408"]
    assert stage.wire.ended


@pytest.mark.parametrize("first", [b"", GET, b"\r\n"])
def test_a_silent_connection_is_closed(stage: Stage, first: bytes) -> None:
    stage.connection.data_received(first)
    stage.turn(75)
    assert not stage.wire.closed
    stage.turn(1)
    assert stage.wire.closed
    assert len(stage.statuses) == (1 if first == GET else 0)


def test_blank_lines_are_silence(stage: Stage) -> None:
    for _ in range(76):
        stage.connection.data_received(b"\r\n")
        stage.turn(1)
    assert stage.wire.closed


def test_requests_keep_a_connection_open(stage: Stage) -> None:
    for _ in range(10):
        stage.connection.data_received(GET)
        stage.turn(70)
    assert not stage.wire.closed


def test_waiting_for_the_node_is_not_silence(stage: Stage) -> None:
    stage.connection.data_received(SLOW_GET)
    stage.turn(1000)
    assert not stage.wire.closed
    stage.node.answer(0)
    stage.turn(75)
    assert not stage.wire.closed
    stage.turn(1)
    assert stage.wire.closed


def test_a_request_that_we_do_not_read_is_not_slow(stage: Stage) -> None:
    body = b'{"key":"k","value":"%b"}' % (b"x" * 40_000)
    stage.connection.data_received(SLOW_GET * 64 + request("POST", "/entry", body))
    assert not stage.wire.reading
    stage.turn(1000)
    assert stage.wire.sent == b""
    for _ in range(65):
        stage.node.answer(0)
    assert stage.statuses == [b"404"] * 64 + [b"201"]
    assert stage.wire.reading


def test_what_is_not_taken_for_long_ends_the_connection(stage: Stage) -> None:
    stage.connection.data_received(GET)
    stage.turn(1)
    stage.wire.unread = 500
    stage.turn(29)
    assert not stage.wire.closed
    stage.turn(1)
    assert stage.wire.closed


def test_a_client_that_takes_enough_may_take_long(stage: Stage) -> None:
    stage.connection.data_received(GET * 200)
    sent = len(stage.wire.sent)
    for taken in range(0, sent, 1000):
        stage.wire.unread = sent - taken
        stage.turn(29)
    assert not stage.wire.closed
    stage.turn(31)
    assert stage.wire.closed


def test_a_client_that_sips_may_not(stage: Stage) -> None:
    stage.connection.data_received(GET * 200)
    for i in range(40):
        stage.wire.unread = len(stage.wire.sent) - i
        stage.turn(1)
    assert stage.wire.closed


def test_after_the_last_answer_input_is_dropped_for_a_while(stage: Stage) -> None:
    stage.connection.data_received(request("GET", "/status", connection="close"))
    assert stage.wire.ended
    assert not stage.wire.closed
    stage.connection.data_received(b"x" * 100_000)
    stage.turn(2)
    assert not stage.wire.closed
    stage.turn(1)
    assert stage.wire.closed


def test_the_last_answer_may_be_taken_slowly(stage: Stage) -> None:
    stage.connection.data_received(request("GET", "/status", connection="close"))
    stage.wire.unread = 100
    stage.turn(20)
    assert not stage.wire.closed
    stage.wire.unread = 0
    stage.turn(3)
    assert stage.wire.closed


def test_input_behind_the_last_request_is_not_taken_before_the_answer(stage: Stage) -> None:
    stage.connection.data_received(request("GET", "/entry/k", connection="close"))
    stage.connection.data_received(b"x" * 100_000)
    assert not stage.wire.reading
    stage.node.answer(0)
    assert stage.wire.reading
    assert stage.wire.ended


def test_an_answer_after_the_end_goes_nowhere(stage: Stage) -> None:
    stage.connection.data_received(SLOW_GET)
    stage.connection.abort()
    stage.node.answer(0)
    assert stage.wire.sent == b""


# Backpressure


def test_nothing_is_read_while_the_client_does_not_read(stage: Stage) -> None:
    stage.connection.pause_writing()
    stage.connection.data_received(GET)
    assert stage.wire.sent == b""
    assert not stage.wire.reading
    stage.connection.resume_writing()
    assert stage.statuses == [b"200"]
    assert stage.wire.reading


def stage_of_two() -> Stage:
    """Two requests may wait; they are read one at a time."""
    return Stage(replace(LIMITS, pipeline=2), HttpLimits(head_bytes=len(SLOW_GET)))


def test_answers_alone_do_not_start_reading_again() -> None:
    stage = stage_of_two()
    stage.connection.data_received(SLOW_GET * 3)
    stage.connection.pause_writing()
    stage.node.answer(0)
    stage.node.answer(0)
    assert stage.statuses == [b"404"] * 2
    assert not stage.wire.reading
    stage.connection.resume_writing()
    assert len(stage.node.held) == 1
    assert stage.wire.reading


def test_room_for_writing_alone_does_not_start_reading_again() -> None:
    stage = stage_of_two()
    stage.connection.data_received(SLOW_GET * 3)
    stage.connection.pause_writing()
    stage.connection.resume_writing()
    assert not stage.wire.reading
    assert len(stage.node.held) == 2


def test_what_comes_although_reading_has_stopped_keeps_its_place(stage: Stage) -> None:
    stage.connection.pause_writing()
    stage.connection.data_received(SLOW_GET + GET[:20])
    stage.connection.data_received(GET[20:])
    stage.connection.resume_writing()
    stage.node.answer(0)
    assert stage.statuses == [b"404", b"200"]


def test_responses_that_are_ready_together_are_written_together(stage: Stage) -> None:
    stage.connection.data_received(SLOW_GET * 3)
    stage.node.answer(2)
    stage.node.answer(1)
    assert stage.wire.writes == 0
    stage.node.answer(0)
    assert stage.wire.writes == 1
    assert stage.statuses == [b"404"] * 3


def test_a_large_body_that_is_refused_is_held_no_longer(stage: Stage) -> None:
    head = request("POST", "/entry", content_type="application/json", content_length="100000")
    stage.connection.data_received(head + b"x")
    assert stage.held == 100_000
    stage.turn(11)
    assert stage.statuses == [b"408"]
    assert stage.held == 0


def test_a_large_body_is_held_until_its_answer(stage: Stage) -> None:
    body = b'{"key":"k","value":"%b"}' % (b"x" * 100_000)
    stage.connection.data_received(request("POST", "/entry", body))
    assert stage.held == len(body)
    stage.node.answer(0)
    assert stage.held == 0


def test_a_response_carries_the_date_of_its_second() -> None:
    heads = Heads(0)
    assert b"\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" in heads[200]
    heads.set_date(86_399.9)
    assert b"\r\nDate: Thu, 01 Jan 1970 23:59:59 GMT\r\n" in heads[200]
    assert heads[404].startswith(b"HTTP/1.1 404 Not Found\r\n")


@pytest.mark.parametrize("begun", [b"GET /sta", b"POST /entry HTTP/1.1\r\nHost: a\r\nContent-"])
async def test_slow_requests_on_a_real_socket(web: Web, begun: bytes) -> None:
    await web.start(listener=ListenerLimits(tick_s=0.02, request_s=0.06, linger_s=0.04))
    client = await web.client()
    client.send(begun)
    answer = await client.response()
    assert (answer.status, answer.json["code"]) == (408, "request_too_slow")
    # The client stays on, but the server does not.
    await web.until(lambda: web.server.connections == 0)
    await client.closed()


async def test_silence_on_a_real_socket(web: Web) -> None:
    await web.start(listener=ListenerLimits(tick_s=0.02, idle_s=0.06))
    await (await web.client()).closed()


def test_bodies_that_wait_behind_others_make_room_when_their_client_goes() -> None:
    stage = Stage(http=HttpLimits(large_body_bytes=1000))
    body = b'{"key":"k","value":"%b"}' % (b"x" * 2000)
    stage.connection.data_received(request("POST", "/entry", body) * 3)
    assert (stage.held, len(stage.node.held)) == (3 * len(body), 1)
    stage.connection.connection_lost(None)
    assert stage.held == len(body)
    stage.node.answer(0)
    assert (stage.held, len(stage.node.requests)) == (0, 1)


def test_an_idle_connection_keeps_neither_the_last_body_nor_the_last_response() -> None:
    stage = Stage()
    value = b'"%b"' % (b"x" * 900_000)
    put = request("POST", "/entry", b'{"key":"k","value":%b}' % value)
    tracemalloc.start()
    try:
        stage.connection.data_received(put)
        stage.node.answer(0)
        stage.node.records.clear()
        stage.node.requests.clear()
        assert tracemalloc.get_traced_memory()[0] < 100_000
        stage.node.diverge("k", value)
        before, _ = tracemalloc.get_traced_memory()
        stage.connection.data_received(SLOW_GET)
        stage.node.answer(0)
        assert len(stage.wire.sent) > len(value)
        stage.wire.sent = b""
        assert tracemalloc.get_traced_memory()[0] < before + 100_000
    finally:
        tracemalloc.stop()

"""Order of responses, backpressure, and the bounds on what clients can make the server hold."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.web import Client, Web, both_loops, request

from kvorum.api.http.limits import HttpLimits
from kvorum.api.limits import ApiLimits
from kvorum.listener.limits import ListenerLimits
from kvorum.service.limits import ServiceLimits

pytestmark = both_loops


def get(i: int) -> bytes:
    return request("GET", f"/entry/k{i}")


async def store_numbers(web: Web, count: int, width: int = 1) -> None:
    for i in range(count):
        await web.put(f"k{i}", b'"%b"' % (b"%d" % i * width))


async def values(client: Client, count: int) -> list[str]:
    return [(await client.response()).json["value"] for _ in range(count)]


@pytest.mark.parametrize("order", [[0, 0, 0, 0], [3, 2, 1, 0], [1, 2, 1, 0], [2, 0, 0, 0]])
async def test_responses_come_in_the_order_of_requests(web: Web, order: list[int]) -> None:
    await store_numbers(web, 4)
    web.node.holding = True
    client = await web.client()
    client.send(b"".join(get(i) for i in range(4)))
    await web.until(lambda: len(web.node.held) == 4)
    for index in order:
        web.node.answer(index)
        await asyncio.sleep(0)
    assert await values(client, 4) == ["0", "1", "2", "3"]


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(0, 250), max_size=6).map(sorted), order=st.permutations([0, 1, 2]))
def test_any_cut_and_any_order(web: Web, cuts: list[int], order: list[int]) -> None:
    """However the bytes are cut, and whichever answer is there first."""

    async def play() -> None:
        web.node.holding = False
        await store_numbers(web, 3)
        web.node.holding = True
        wrong = request("GET", "/entry/%zz")
        sent = get(0) + wrong + get(1) + request("GET", "/nowhere", b"body") + get(2)
        client = await web.client()
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            client.send(sent[start:end])
            await client.drain()
        await web.until(lambda: len(web.node.held) == 3)
        left = [0, 1, 2]
        for i in order:
            web.node.answer(left.index(i))
            left.remove(i)
        statuses = [(await client.response()).status for _ in range(5)]
        assert statuses == [200, 400, 200, 404, 200]
        await client.close()

    web.run(play())


async def test_only_so_many_requests_of_a_connection_wait(web: Web) -> None:
    await web.start(listener=ListenerLimits(pipeline=4), http=HttpLimits(head_bytes=100))
    await store_numbers(web, 40)
    web.node.holding = True
    client = await web.client()
    client.send(b"".join(get(i) for i in range(40)))
    most = 0
    for _ in range(40):
        await web.until(lambda: web.node.held)
        most = max(most, len(web.node.held))
        web.node.answer(0)
    assert await values(client, 40) == [str(i) for i in range(40)]
    assert most <= 4 + 2  # and what else was in the piece that was being read


async def test_a_body_can_follow_a_full_pipeline(web: Web) -> None:
    await web.start(listener=ListenerLimits(pipeline=1))
    web.node.holding = True
    client = await web.client()
    body = b'{"key":"k","value":"%b"}' % (b"x" * 100_000)
    client.send((get(0) + request("POST", "/entry", body)) * 3)
    for _ in range(6):
        await web.until(lambda: web.node.held)
        web.node.answer(0)
    statuses = [(await client.response()).status for _ in range(6)]
    assert statuses == [404, 201, 404, 200, 404, 200]


async def test_a_client_that_does_not_read_is_not_read_from(web: Web) -> None:
    await web.start(
        listener=ListenerLimits(unread_high_bytes=10_000, pipeline=8),
        http=HttpLimits(head_bytes=100),
    )
    await store_numbers(web, 1, width=1_000_000)
    web.node.requests.clear()
    client = await web.client(receive_buffer=4096)
    client.send(get(0) * 500)
    await web.until(lambda: len(web.node.requests) >= 8)
    for _ in range(200):
        await asyncio.sleep(0)
    taken = len(web.node.requests)
    assert taken < 100
    # Others are served meanwhile, and reading on lets it go on.
    assert (await web.ask("GET", "/status")).status == 200
    assert {len(value) for value in await values(client, 20)} == {1_000_000}
    await web.until(lambda: len(web.node.requests) > taken)


async def test_a_client_that_does_not_read_at_all_is_cut_off(web: Web) -> None:
    await web.start(listener=ListenerLimits(unread_s=0.05, tick_s=0.02, unread_high_bytes=1000))
    await store_numbers(web, 1, width=900_000)
    client = await web.client(receive_buffer=4096)
    client.send(get(0) * 20)
    await web.until(lambda: web.server.connections == 1)
    await web.until(lambda: web.server.connections == 0)


async def test_a_stalled_client_is_cut_off_where_another_needs_the_room(web: Web) -> None:
    await web.start(listener=ListenerLimits(unread_bytes=4_000_000, tick_s=0.02, stalled_s=0.04))
    await store_numbers(web, 1, width=1_000_000)
    modest, greedy = await web.client(), await web.client(receive_buffer=4096)
    greedy.send(get(0) * 40)
    await web.until(lambda: web.server.answers.bytes > 3_000_000)
    assert (await modest.ask("GET", "/status")).status == 200
    assert web.server.connections == 2
    # The room is there for the asking, as soon as the greedy one has taken nothing for a while.
    while (await modest.ask("GET", "/entry/k0")).status != 200:
        await asyncio.sleep(0)
    assert web.server.connections == 1


async def busy_client(web: Web) -> Client:
    """One whose request is under way."""
    held = len(web.node.held)
    client = await web.client()
    client.send(get(0))
    await web.until(lambda: len(web.node.held) > held)
    return client


async def test_too_many_connections_with_requests(web: Web) -> None:
    await web.start(listener=ListenerLimits(connections=2))
    web.node.holding = True
    first, second = await busy_client(web), await busy_client(web)
    third = await web.client()
    answer = await third.response()
    assert (answer.status, answer.json["code"]) == (503, "overloaded")
    assert answer.fields["retry-after"] == "1"
    assert answer.fields["connection"] == "close"
    await third.closed()
    status = web.server.status()
    assert (status.open, status.max) == (2, 2)
    assert (status.given_up, status.refused) == (0, 1)
    web.node.answer(0)
    web.node.answer(0)
    web.node.holding = False
    assert (await first.response()).status == 404
    assert (await second.response()).status == 404
    assert (await web.ask("GET", "/status")).status == 200


async def test_a_part_of_a_request_is_under_way(web: Web) -> None:
    await web.start(listener=ListenerLimits(connections=1))
    first = await web.client()
    first.send(get(0)[:-5])
    await web.until(lambda: web.server.connections == 1)
    await asyncio.sleep(0.01)  # nothing shows from outside that the bytes have been read
    second = await web.client()
    assert (await second.response()).status == 503
    first.send(get(0)[-5:])
    assert (await first.response()).status == 404


async def test_the_connection_that_is_idle_the_longest_is_given_up(web: Web) -> None:
    await web.start(listener=ListenerLimits(connections=3, tick_s=0.01))
    web.node.holding = True
    busy = await busy_client(web)
    oldest, longest = await web.client(), await web.client()
    await web.until(lambda: web.server.connections == 3)
    assert (await oldest.ask("GET", "/status")).status == 200
    seen = web.server.tick
    await web.until(lambda: web.server.tick > seen + 1)
    assert (await longest.ask("GET", "/status")).status == 200
    seen = web.server.tick
    await web.until(lambda: web.server.tick > seen + 1)
    assert (await oldest.ask("GET", "/status")).status == 200
    # Whoever came first has been used last.
    newest = await web.client()
    assert (await newest.ask("GET", "/status")).status == 200
    await longest.closed()
    assert (await oldest.ask("GET", "/status")).status == 200
    web.node.answer(0)
    assert (await busy.response()).status == 404
    status = web.server.status()
    assert (status.open, status.max) == (3, 3)
    assert (status.given_up, status.refused) == (1, 0)


async def test_connections_that_say_nothing_lock_nobody_out(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    await web.start(listener=ListenerLimits(connections=10))
    silent = [await web.client() for _ in range(50)]
    assert (await web.ask("GET", "/status")).status == 200
    assert web.server.connections <= 10
    for client in silent[:40]:
        await client.closed()
    assert caplog.text.count("clients have all 10 connections") == 1


async def test_too_many_requests_under_way(web: Web) -> None:
    await web.start(service=ServiceLimits(in_flight=2))
    web.node.holding = True
    client = await web.client()
    client.send(get(0) + get(1))
    await web.until(lambda: len(web.node.held) == 2)
    other = await web.client()
    for path, body in (("/entry/k", None), ("/entries", None), ("/locate/k", None)):
        busy = await other.ask("GET", path, body)
        assert (busy.status, busy.json["code"], busy.json["outcome"]) == (503, "overloaded", "none")
        assert busy.fields["retry-after"] == "1"
    assert (await other.ask("POST", "/entries/get", b'{"keys":["k"]}')).status == 503
    assert (await other.ask("GET", "/status")).status == 200
    web.node.answer(0)
    web.node.answer(0)
    web.node.holding = False
    assert (await other.ask("GET", "/entry/k")).status == 404


async def test_large_bodies_are_held_within_a_bound(web: Web) -> None:
    await web.start(
        listener=ListenerLimits(large_bodies_bytes=5000), http=HttpLimits(large_body_bytes=1000)
    )
    web.node.holding = True
    body = b'{"key":"k","value":"%b"}' % (b"x" * 2976)
    first, second = await web.client(), await web.client()
    first.send(request("POST", "/entry", body))
    await web.until(lambda: web.node.held)
    second.send(request("POST", "/entry", body)[:200])
    busy = await second.response()
    assert (busy.status, busy.json["code"]) == (503, "overloaded")
    await second.closed()
    # Small ones are not concerned, and an answer makes room.
    web.node.holding = False
    assert (await web.put("l", b"1")).status == 201
    web.node.answer(0)
    assert (await first.response()).status == 201
    assert (await web.put("k", b'"%b"' % (b"x" * 2976))).status == 200


@pytest.mark.parametrize("framing", ["Content-Length: 3000", "Transfer-Encoding: chunked"])
async def test_a_large_body_that_never_comes_makes_room_when_its_client_goes(
    web: Web, framing: str
) -> None:
    await web.start(
        listener=ListenerLimits(large_bodies_bytes=5000),
        http=HttpLimits(large_body_bytes=1000),
        service=ServiceLimits(value_bytes=1500),
        api=ApiLimits(entry_overhead_bytes=0),
    )
    for _ in range(3):
        client = await web.client()
        fields = f"Host: a\r\nContent-Type: application/json\r\n{framing}"
        head = f"POST /entry HTTP/1.1\r\n{fields}\r\n\r\n".encode()
        client.send(head + (b"5dc\r\n" if "chunked" in framing else b"") + b"x" * 1500)
        await web.until(lambda: web.server._held == 3000)
        other = await web.client()
        other.send(head + (b"5dc\r\n" if "chunked" in framing else b"") + b"x" * 1500)
        assert (await other.response()).status == 503
        await client.close()
        await web.until(lambda: web.server._held == 0)


def post(key: str, value: int) -> bytes:
    return request("POST", "/entry", b'{"key":"%b","value":%d}' % (key.encode(), value))


async def test_what_may_change_something_is_done_alone_and_in_its_turn(web: Web) -> None:
    await web.put("k1", b"1")
    web.node.requests.clear()
    web.node.holding = True
    client = await web.client()
    delete = request("DELETE", "/entry/k1")
    client.send(get(1) + delete + post("k1", 3) + get(1) + get(2) + post("k1", 4))
    begun: list[list[str]] = []
    while sum(map(len, begun)) < 6:
        await web.until(lambda: web.node.held)
        begun.append([type(asked).__name__ for asked, _ in web.node.held])
        for _ in begun[-1]:
            web.node.answer(0)
    assert begun == [["Get"], ["Delete"], ["Put"], ["Get", "Get"], ["Put"]]
    answers = [await client.response() for _ in range(6)]
    assert [answer.status for answer in answers] == [200, 200, 201, 200, 404, 200]
    assert [answers[i].json["value"] for i in (0, 1, 3)] == [1, 1, 3]


async def test_only_so_many_requests_of_a_connection_are_carried_out_at_a_time(web: Web) -> None:
    await web.start(listener=ListenerLimits(parallel=3))
    await store_numbers(web, 12)
    web.node.holding = True
    client = await web.client()
    client.send(b"".join(get(i) for i in range(12)))
    most = 0
    for _ in range(12):
        await web.until(lambda: web.node.held)
        most = max(most, len(web.node.held))
        web.node.answer(0)
    assert await values(client, 12) == [str(i) for i in range(12)]
    assert most == 3


async def test_one_piece_of_many_requests_is_not_answered_to_who_does_not_read(web: Web) -> None:
    await store_numbers(web, 1, width=500_000)
    client = await web.client(receive_buffer=4096)
    client.send(get(0) * 400)
    await web.until(lambda: web.server.connections == 1)
    for _ in range(200):
        await asyncio.sleep(0)
    (connection,) = web.server._connections
    assert connection.unread < 12_000_000
    assert len(web.node.requests) < 40


async def test_what_waits_behind_others_is_answered_before_what_is_no_request(web: Web) -> None:
    web.node.holding = True
    client = await web.client()
    client.send(post("k", 1) + post("k", 2) + b"no request at all\r\n\r\n")
    for _ in range(2):
        await web.until(lambda: web.node.held)
        web.node.answer(0)
    assert [(await client.response()).status for _ in range(3)] == [201, 200, 400]
    await client.closed()

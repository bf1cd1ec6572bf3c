from __future__ import annotations

from kvorum.client.server import SUSPECT_S
from kvorum.client.servers import Servers
from kvorum.model.address import Address

A, B, C = (Address(host, 7400) for host in "abc")


def course(servers: Servers, now: float, length: int) -> str:
    route = servers.route(now)
    return "".join(route.next(now)[0].name[0] for _ in range(length))


def test_calls_begin_at_the_servers_in_turn() -> None:
    servers = Servers([A, B, C])
    assert [course(servers, 0.0, 1) for _ in range(4)] == ["a", "b", "c", "a"]


def test_one_call_asks_every_server_before_it_asks_one_again() -> None:
    assert course(Servers([A, B, C]), 0.0, 6) == "abcabc"


def test_a_suspected_server_is_asked_last_for_a_while() -> None:
    servers = Servers([A, B, C])
    first, _ = servers.route(100.0).next(100.0)
    first.suspect(100.0)
    assert {course(servers, 101.0, 3)[-1] for _ in range(3)} == {"a"}
    after = 100.0 + SUSPECT_S
    assert {course(servers, after, 1) for _ in range(3)} == {"a", "b", "c"}


def test_a_server_that_answers_again_is_trusted_again() -> None:
    servers = Servers([A, B])
    first, _ = servers.route(0.0).next(0.0)
    first.suspect(0.0)
    first.trust()
    assert {course(servers, 1.0, 1) for _ in range(2)} == {"a", "b"}


def test_a_server_that_said_when_is_left_alone_until_then() -> None:
    route = Servers([A, B]).route(0.0)
    first, _ = route.next(0.0)
    route.leave_alone(first, 9.0)
    assert [route.next(0.0)[0].name[0] for _ in range(3)] == ["b", "b", "b"]
    assert route.next(9.0) == (first, 9.0)


def test_when_all_said_when_the_earliest_is_waited_for() -> None:
    route = Servers([A, B]).route(0.0)
    for until in (9.0, 5.0):
        route.leave_alone(route.next(0.0)[0], until)
    server, at = route.next(1.0)
    assert (server.name, at) == ("b:7400", 5.0)

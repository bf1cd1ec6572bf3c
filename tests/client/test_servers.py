from __future__ import annotations

from kvorum.client.server import FIRST_PAUSE_S, PAUSE_S_MAX, Server
from kvorum.client.servers import Route, Servers
from kvorum.model.address import Address

A, B, C = (Address(host, 7400) for host in "abc")


def course(servers: Servers, length: int) -> str:
    route = servers.route()
    return "".join(route.next(0.0)[0].name[0] for _ in range(length))


def first_of(servers: Servers) -> Server:
    return servers.route().next(0.0)[0]


def names(route: Route, length: int) -> str:
    return "".join(route.next(0.0)[0].name[0] for _ in range(length))


def test_calls_begin_at_the_servers_in_turn() -> None:
    servers = Servers([A, B, C])
    assert [course(servers, 1) for _ in range(4)] == ["a", "b", "c", "a"]


def test_one_call_asks_every_server_before_it_asks_one_again() -> None:
    assert course(Servers([A, B, C]), 6) == "abcabc"


def test_a_suspected_server_is_asked_last_until_it_answers() -> None:
    servers = Servers([A, B, C])
    first = first_of(servers)
    first.suspect(100.0)
    assert {course(servers, 3)[-1] for _ in range(3)} == {"a"}
    first.trust()
    assert {course(servers, 1) for _ in range(3)} == {"a", "b", "c"}


def test_a_server_is_looked_for_ever_more_seldom_the_longer_it_is_away() -> None:
    server = Server(A)
    pauses = []
    now = 100.0
    for _ in range(9):
        server.suspect(now)
        pauses.append(server.probe_at - now)
        now = server.probe_at
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == PAUSE_S_MAX
    server.trust()
    server.suspect(now)
    assert server.probe_at - now == FIRST_PAUSE_S


def test_one_that_answers_nothing_but_probes_is_asked_ever_more_seldom() -> None:
    server = Server(A)
    for pause in (FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S):
        server.suspect(100.0)
        assert server.probe_at - 100.0 == pause
        server.readmit()
        assert not server.suspected


def test_a_server_that_leaves_is_asked_last_for_a_moment_which_is_no_failure() -> None:
    servers = Servers([A, B, C])
    server = first_of(servers)
    for now in (100.0, 100.5):
        server.leave(now)
        assert {course(servers, 3)[-1] for _ in range(3)} == {"a"}
        assert server.probe_at - now == FIRST_PAUSE_S
        assert server.trusted
    server.readmit()
    assert {course(servers, 1) for _ in range(3)} == {"a", "b", "c"}


def test_calls_that_fail_together_are_one_failure() -> None:
    server = Server(A)
    for _ in range(100):
        server.suspect(100.0)
    assert server.probe_at == 100.0 + FIRST_PAUSE_S


def test_a_server_that_said_when_is_left_alone_until_then() -> None:
    route = Servers([A, B]).route()
    first, _ = route.next(0.0)
    route.leave_alone(first, 9.0)
    assert [route.next(0.0)[0].name[0] for _ in range(3)] == ["b", "b", "b"]
    assert route.next(9.0) == (first, 9.0)


def test_when_all_said_when_the_earliest_is_waited_for() -> None:
    route = Servers([A, B]).route()
    for until in (9.0, 5.0):
        route.leave_alone(route.next(0.0)[0], until)
    server, at = route.next(1.0)
    assert (server.name, at) == ("b:7400", 5.0)


def test_once_one_has_answered_suspected_ones_are_asked_no_more() -> None:
    servers = Servers([A, B, C])
    first_of(servers).suspect(0.0)
    route = servers.route()
    first, _ = route.next(0.0)
    route.answered(first)
    assert (first.name[0], names(route, 4)) == ("b", "cbcb")


def test_one_that_has_answered_is_asked_again_even_if_other_calls_suspect_it() -> None:
    route = Servers([A, B]).route()
    server, _ = route.next(0.0)
    route.answered(server)
    server.suspect(0.0)
    route.next(0.0)[0].suspect(0.0)
    assert names(route, 3) == "aaa"

"""The parts of `bench/healing.py` that turn what was seen into figures, and its load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final, cast

import pytest
from failover import Load, running
from figures import Figure, Outcome, at_least, at_most, table
from journal import Journal
from scenario_kill import back_s

from kvorum.bench.workload import Operation
from kvorum.model.address import Address
from kvorum.runtime.loop import run

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
UNKNOWN: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 48\r\n\r\n"
    b'{"code":"connection_failed","outcome":"unknown"}'
)
Answer = Callable[[int], bytes | None]


def test_the_journal_counts_from_a_moment_to_before_another() -> None:
    journal = Journal()
    for answered in (10, 20, 20, 30):
        journal.record(answered - 5, answered)
    assert journal.count(10, 30) == 3
    assert journal.rates(10, 30, 10) == [1e8, 2e8]
    assert journal.latencies(0, 40).highest == 5


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [
        ([100.0] * 8, 0.0),
        ([0.0, 50.0, 80.0, 90.0, 90.0, 90.0], 1.0),
        ([100.0, 0.0, 0.0, 0.0, 90.0, 90.0, 90.0, 90.0], 2.0),
        ([70.0] * 8, None),
        ([90.0] * 3, None),
    ],
)
def test_throughput_is_back_when_it_stays(rates: list[float], wanted: float | None) -> None:
    assert back_s(rates, 100.0) == wanted


def test_a_figure_that_never_came_about_is_not_reached() -> None:
    figures = [
        Figure("a", 3, "s", at_most(3, "s")),
        Figure("b", 0.5, "", at_least(0.9)),
        Figure("c", None, "s", at_most(3, "s")),
        Figure("d", 1),
    ]
    assert [figure.reached for figure in figures] == [True, False, False, None]
    assert table([Outcome("x", figures, {})]).splitlines()[2:] == [
        "| x | a | 3 s | at most 3 s | yes |",
        "| x | b | 0.50 | at least 0.90 | no |",
        "| x | c | never | at most 3 s | no |",
        "| x | d | 1 |  |  |",
    ]


class _Endless:
    def next(self) -> Operation:
        return Operation("read", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


class _Server(asyncio.Protocol):
    """Answers the n-th request, over all its connections, with `answer(n)`; None hangs up."""

    def __init__(self, numbers: Iterator[int], answer: Answer) -> None:
        self._numbers = numbers
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer(next(self._numbers))
        if answer is None:
            self._transport.abort()
        else:
            self._transport.write(answer)


async def _serve(answer: Answer) -> asyncio.Server:
    numbers = count(1)
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Server(numbers, answer), "127.0.0.1", 0)


async def _put_load(answers: Sequence[Answer], until: Callable[[Load], bool]) -> Load:
    servers = [await _serve(answer) for answer in answers]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    load = Load([Address("127.0.0.1", port) for port in ports], _Endless())
    async with running(load, 3), asyncio.timeout(10):
        while not until(load):
            await asyncio.sleep(0.01)
    for server in servers:
        server.close()
    return load


def _load_on(*answers: Answer, until: Callable[[Load], bool]) -> Load:
    """Three callers on a server for each of `answers`, until the condition holds."""
    return run(_put_load(answers, until))


def _answered(load: Load) -> int:
    return load.journal.count(0, 1 << 63)


def test_callers_of_a_server_that_dies_go_to_another_and_ask_again() -> None:
    load = _load_on(
        lambda n: OK if n <= 10 else None, lambda n: OK, until=lambda load: load.recovered > 0
    )
    assert load.broken.keys() == load.down == {0}
    assert 1 <= load.broken[0] <= 2, "callers 0 and 2 are at home there"
    assert not load.errors


def test_a_request_of_unknown_outcome_is_asked_again_and_counted_once() -> None:
    # A caller asks again after a moment, in which the others may be answered any number of times.
    load = _load_on(
        lambda n: UNKNOWN if n <= 6 else OK,
        until=lambda load: load.recovered >= 3 and _answered(load) > 20,
    )
    assert load.unknown == {"HTTP 503 connection_failed": 3}
    assert load.recovered == 3
    assert not load.errors


def test_callers_go_home_when_their_server_is_back() -> None:
    asked = 0

    def flaky(n: int) -> bytes | None:
        nonlocal asked
        asked = n
        return None if n == 5 else OK

    def until(load: Load) -> bool:
        if load.down:
            load.returned(0)
        return asked > 20

    load = _load_on(flaky, lambda n: OK, until=until)
    assert not load.errors

"""The dialer: one attempt at a time, and pauses that grow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from net_rig import Play, free_addresses, until

from kvorum.net.dialer import Dialer, DialLimits
from kvorum.net.link import Link
from kvorum.runtime.loop import LoopRuntime
from kvorum.runtime.ports import Cancellable

LIMITS = DialLimits(connect_s=0.05, pause_min_s=0.001, pause_max_s=0.004)


class Recorder(LoopRuntime):
    """Notes how long its timers were asked to wait."""

    __slots__ = ("delays",)

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.delays: list[float] = []

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *args: Any
    ) -> Cancellable:
        self.delays.append(delay_s)
        return super().call_later(delay_s, callback, *args)


class LostLinks:
    """Stands in for the links of a dialer; keeps how each attempt failed."""

    def __init__(self) -> None:
        self.made = 0
        self.errors: list[Exception | None] = []

    def make(self) -> Any:
        self.made += 1
        links = self

        class Lost(asyncio.Protocol):
            def connection_lost(self, exc: Exception | None) -> None:
                links.errors.append(exc)

        return Lost()


def test_pauses_double_up_to_their_limit_and_are_forgotten_on_demand(play: Play) -> None:
    async def scenario() -> None:
        runtime = Recorder()
        links = LostLinks()
        dialer = Dialer(runtime, free_addresses(1)[0], links.make, LIMITS)
        for attempt in range(5):
            dialer.dial_later()
            dialer.dial_later()
            await until(lambda: len(links.errors) > attempt)  # noqa: B023
        dialer.forget_failures()
        dialer.dial_later()
        for pause, delay in zip([1, 2, 4, 4, 4, 1], runtime.delays, strict=True):
            assert pause / 2000 <= delay <= pause / 1000
        assert all(isinstance(error, ConnectionRefusedError) for error in links.errors)
        await dialer.close()

    play(scenario)


def test_one_attempt_at_a_time(play: Play) -> None:
    async def scenario() -> None:
        links = LostLinks()
        dialer = Dialer(Recorder(), free_addresses(1)[0], links.make, LIMITS)
        dialer.dial()
        await asyncio.sleep(0)
        dialer.dial()
        dialer.dial_later()
        await until(lambda: links.errors)
        assert links.made == 1
        dialer.dial_later()
        dialer.dial()
        await until(lambda: len(links.errors) == 2)
        assert links.made == 2
        await dialer.close()

    play(scenario)


def test_an_attempt_that_gets_no_answer_is_given_up(play: Play) -> None:
    class Deaf:
        """An event loop on which connections are never made."""

        create_task = staticmethod(asyncio.create_task)

        @staticmethod
        async def create_connection(_make: Callable[[], Link], *_address: Any) -> None:
            await asyncio.Event().wait()

    async def scenario() -> None:
        runtime = Recorder()
        runtime.loop = Deaf()  # type: ignore[assignment]
        links = LostLinks()
        dialer = Dialer(runtime, free_addresses(1)[0], links.make, LIMITS)
        dialer.dial()
        await until(lambda: links.errors)
        [error] = links.errors
        assert isinstance(error, TimeoutError)
        assert str(error) == "no connection within 0.05 s"
        dialer.dial()
        await asyncio.sleep(0)
        await dialer.close()
        assert links.errors == [error, None]

    play(scenario)

"""The real runtime keeps the promises of its port, on uvloop as on asyncio's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kvorum.runtime.loop import LoopRuntime, new_loop, run
from kvorum.runtime.ports import Runtime

LOOPS = {"fastest": new_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(params=LOOPS)
def new(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    return LOOPS[request.param]


def test_callbacks_never_run_before_the_call_returns_and_keep_their_order(
    new: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def main() -> list[int]:
        runtime: Runtime = LoopRuntime(asyncio.get_running_loop())
        ran: list[int] = []
        done = asyncio.Event()
        for number in range(5):
            runtime.call_soon(ran.append, number)
        runtime.call_later(0, ran.append, 99)
        runtime.call_soon(done.set)
        assert ran == []
        await done.wait()
        return ran[:5]

    with asyncio.Runner(loop_factory=new) as runner:
        assert runner.run(main()) == list(range(5))


def test_timers_are_never_early(new: Callable[[], asyncio.AbstractEventLoop]) -> None:
    delays = [step / 10_000 for step in range(1, 200, 3)]

    async def main() -> list[tuple[float, float]]:
        runtime = LoopRuntime(asyncio.get_running_loop())
        took: list[tuple[float, float]] = []
        done = asyncio.Event()

        def fired(delay: float, asked_at: float) -> None:
            took.append((delay, runtime.now() - asked_at))
            if len(took) == len(delays):
                done.set()

        for delay in delays:
            runtime.call_later(delay, fired, delay, runtime.now())
        async with asyncio.timeout(20):
            await done.wait()
        return took

    with asyncio.Runner(loop_factory=new) as runner:
        assert [pair for pair in runner.run(main()) if pair[1] < pair[0]] == []


def test_a_cancelled_timer_does_not_run(new: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> list[str]:
        runtime = LoopRuntime(asyncio.get_running_loop())
        ran: list[str] = []
        done = asyncio.Event()
        runtime.call_later(0.001, ran.append, "cancelled").cancel()
        runtime.call_later(0.01, ran.append, "kept")
        runtime.call_later(0.02, done.set)
        await done.wait()
        return ran

    with asyncio.Runner(loop_factory=new) as runner:
        assert runner.run(main()) == ["kept"]


def test_run_gives_the_result_and_clocks_of_the_world() -> None:
    async def main() -> tuple[float, float]:
        runtime = LoopRuntime(asyncio.get_running_loop())
        first = runtime.now()
        # 2020 to 2100: a wall clock in milliseconds, whatever it is set to.
        assert 1_577_836_800_000 < runtime.wall_ms() < 4_102_444_800_000
        return first, runtime.now()

    first, second = run(main())
    assert second >= first


def test_two_runtimes_have_different_chances() -> None:
    loop = asyncio.new_event_loop()
    try:
        draws = {LoopRuntime(loop).rng.getrandbits(64) for _ in range(4)}
    finally:
        loop.close()
    assert len(draws) == 4

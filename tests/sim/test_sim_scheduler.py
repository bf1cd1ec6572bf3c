from __future__ import annotations

import random

import pytest

from kvorum.sim.scheduler import EPOCH_MS, NodeRuntime, RunawaySimulation, Scheduler


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler(1000)


def node(scheduler: Scheduler, clock_offset_ms: int = 0) -> NodeRuntime:
    return NodeRuntime(scheduler, random.Random(0), clock_offset_ms)


def test_callbacks_run_in_order_of_time_then_of_asking(scheduler: Scheduler) -> None:
    ran: list[str] = []
    runtime = node(scheduler)
    runtime.call_later(2.0, ran.append, "third")
    runtime.call_later(1.0, ran.append, "first")
    runtime.call_later(1.0, ran.append, "second")
    scheduler.run_for(5.0)
    assert ran == ["first", "second", "third"]


def test_soon_is_after_the_callback_that_asks(scheduler: Scheduler) -> None:
    ran: list[str] = []
    runtime = node(scheduler)

    def ask() -> None:
        runtime.call_soon(ran.append, "inner")
        ran.append("outer")

    runtime.call_soon(ask)
    scheduler.run_for(0.0)
    assert ran == ["outer", "inner"]


def test_time_is_that_of_the_callback_and_ends_where_it_should(scheduler: Scheduler) -> None:
    runtime = node(scheduler, clock_offset_ms=-300)
    seen: list[tuple[float, int]] = []
    runtime.call_later(1.5, lambda: seen.append((runtime.now(), runtime.wall_ms())))
    runtime.call_later(9.0, pytest.fail, "it is not due")
    scheduler.run_for(4.0)
    assert seen == [(1.5, EPOCH_MS + 1200)]
    assert scheduler.now == 4.0


def test_a_cancelled_timer_does_not_run(scheduler: Scheduler) -> None:
    node(scheduler).call_later(1.0, pytest.fail, "it was cancelled").cancel()
    scheduler.run_for(2.0)


def test_nothing_of_a_stopped_node_runs(scheduler: Scheduler) -> None:
    ran: list[str] = []
    stopped, other = node(scheduler), node(scheduler)
    stopped.call_later(1.0, ran.append, "stopped")
    other.call_later(1.0, ran.append, "other")
    stopped.stopped = True
    scheduler.run_for(2.0)
    assert ran == ["other"]


def test_a_paused_node_catches_up_in_order(scheduler: Scheduler) -> None:
    ran: list[tuple[str, float]] = []
    paused, other = node(scheduler), node(scheduler)

    def note(what: str) -> None:
        ran.append((what, scheduler.now))

    paused.call_later(2.0, note, "due second")
    paused.call_later(1.0, note, "due first")
    other.call_later(1.5, note, "other")
    paused.pause(3.0)
    scheduler.run_for(5.0)
    assert ran == [("other", 1.5), ("due first", 3.0), ("due second", 3.0)]


def test_time_that_a_node_ran_leaves_out_its_pauses(scheduler: Scheduler) -> None:
    runtime = node(scheduler)
    scheduler.run_for(1.0)
    runtime.pause(2.0)
    assert runtime.ran_s() == 1.0
    runtime.pause(1.0)
    scheduler.run_for(5.0)
    assert runtime.ran_s() == 4.0


def test_a_livelock_ends_the_run(scheduler: Scheduler) -> None:
    runtime = node(scheduler)

    def again() -> None:
        runtime.call_soon(again)

    again()
    with pytest.raises(RunawaySimulation, match="1000 events"):
        scheduler.run_for(1.0)

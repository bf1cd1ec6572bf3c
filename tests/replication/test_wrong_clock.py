"""One clock is days away: nothing is lost by that, and no lifetime is given by it."""

from __future__ import annotations

import pytest
from kit.stage import Stage
from test_anti_entropy import place
from test_expiry import answer, ask, cluster, failure, held, now_ms, put, shown

from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import JSON
from kvorum.model.request import Answer, Delete, Get, Put, Touch
from kvorum.model.topology import NamespaceSettings

DAY_S = 86_400
DAY_MS = DAY_S * 1000
SWEPT_S = 300.0
KEY = place("k")


def owners(stage: Stage) -> tuple[int, ...]:
    return stage.placement.owners(stage.placement.partition(KEY[1:9]), PlacementRule(3))


@pytest.mark.parametrize("ahead_ms", [2 * DAY_MS, 11_000, -2 * DAY_MS])
@pytest.mark.parametrize("wrong", range(3))
def test_what_has_a_lifetime_left_stays_and_is_seen_everywhere(wrong: int, ahead_ms: int) -> None:
    stage = cluster()
    answer(stage, put(b"of a day", ttl=DAY_S))
    stage.clocks[wrong].ahead_ms = ahead_ms
    for _ in range(3):
        stage.wait(SWEPT_S / 3)
        assert [shown(stage, node) for node in range(3)] == [[b"of a day"]] * 3
    stage.clocks[wrong].ahead_ms = 0
    stage.wait(SWEPT_S)
    assert [shown(stage, node) for node in range(3)] == [[b"of a day"]] * 3


@pytest.mark.parametrize("ahead_ms", [2 * DAY_MS, -1_700_000_000_000])
@pytest.mark.parametrize("asked", range(3))
@pytest.mark.parametrize("rank", range(3))
def test_another_owner_gives_the_lifetime(rank: int, asked: int, ahead_ms: int) -> None:
    stage = cluster()
    stage.clocks[owners(stage)[rank]].ahead_ms = ahead_ms
    first = answer(stage, put(b"1", ttl=DAY_S), asked).record
    assert [v.expires for v in first.versions] == [now_ms(stage) + DAY_MS]
    seen = Put("default", "k", JSON, b"2", first.context, ttl=2 * DAY_S)
    assert [v.expires for v in answer(stage, seen, asked).record.versions] == [
        now_ms(stage) + 2 * DAY_MS
    ]
    touched = answer(stage, Touch("default", "k", 9), asked).record
    assert [v.expires for v in touched.versions] == [now_ms(stage) + 9000]
    assert [shown(stage, node) for node in range(3)] == [[b"2"]] * 3
    stage.wait(9)
    assert [shown(stage, node) for node in range(3)] == [[]] * 3


def test_the_others_remove_what_has_expired() -> None:
    stage = cluster()
    stage.clocks[1].ahead_ms = -2 * DAY_MS
    answer(stage, put(b"1", ttl=5))
    stage.wait(SWEPT_S)
    for node in range(3):
        record = held(stage, node)
        assert record is None or record.versions == ()


def test_what_gives_no_lifetime_goes_on() -> None:
    stage = cluster()
    for clock in stage.clocks[:2]:
        clock.ahead_ms = 2 * DAY_MS
    for node in range(3):
        answer(stage, put(b"1", ttl=0), node)
        assert shown(stage, node) == [b"1"]
        answer(stage, Delete("default", "k"), node)


def test_where_no_time_has_a_majority_lifetimes_are_refused_and_nothing_is_removed() -> None:
    stage = Stage(2, NamespaceSettings(replicas=2, read=1, write=2))
    answer(stage, put(b"1", ttl=DAY_S))
    stage.clocks[1].ahead_ms = 2 * DAY_MS
    stage.wait(SWEPT_S)
    for node in range(2):
        assert failure(stage, put(b"2", ttl=5), node) == "clock_wrong"
        assert failure(stage, put(b"2", expires=now_ms(stage) + DAY_MS), node) == "clock_wrong"
        assert failure(stage, Touch("default", "k", 5), node) == "clock_wrong"
    assert shown(stage, 0) == [b"1"]
    assert [record.versions != () for n in range(2) if (record := held(stage, n))] == [True] * 2
    # Its own answers may err; nothing comes of that.
    assert shown(stage, 1) == []
    stage.clocks[1].ahead_ms = 0
    assert shown(stage, 1) == [b"1"]


def test_an_accepted_clock_gives_lifetimes_and_removes_what_has_expired() -> None:
    stage = Stage(2, NamespaceSettings(replicas=2, read=1, write=2))
    stage.clocks[1].ahead_ms = 2 * DAY_MS
    stage.wait(5)
    first = stage.nodes[0]
    assert first is not None
    first.clocks.accept()
    for node in range(2):
        written = answer(stage, put(b"1", ttl=5), node)
        assert [v.expires for v in written.record.versions] == [now_ms(stage) + 5000]
    stage.wait(SWEPT_S)
    record = held(stage, 0)
    assert record is None or record.versions == ()


def test_a_node_that_starts_with_a_wrong_clock_does_no_harm() -> None:
    stage = cluster()
    answer(stage, put(b"1", ttl=DAY_S))
    stage.kill(1)
    stage.lives[1] += 1
    stage.wait(1)
    stage.restart(1)
    stage.clocks[1].ahead_ms = 2 * DAY_MS
    stage.wait(SWEPT_S)
    assert [shown(stage, node) for node in range(3)] == [[b"1"]] * 3


def test_while_a_majority_is_away_nothing_is_removed() -> None:
    stage = cluster()
    answer(stage, put(b"1", ttl=1000))
    stage.kill(1)
    stage.kill(2)
    stage.wait(3000)
    record = held(stage, 0)
    assert record is not None
    assert record.versions
    result = ask(stage, Get("default", "k", r=1))
    assert isinstance(result, Answer)
    assert result.record.versions == ()
    stage.restart(1)
    stage.restart(2)
    stage.wait(SWEPT_S)
    record = held(stage, 0)
    assert record is None or record.versions == ()

"""How many file descriptors there are, and what they are for. The system's limit is a pair."""

from __future__ import annotations

import resource

import pytest

from kvorum.model.errors import ConfigError
from kvorum.runtime.descriptors import (
    CLIENTS_MIN,
    ENGINE_MAX,
    ENGINE_MIN,
    GREETING_MAX,
    LIMIT_MAX,
    OWN,
    Descriptors,
    descriptor_limit,
    engine_files,
    raise_descriptor_limit,
)

NONE = resource.RLIM_INFINITY


class Limits:
    """The system's: a soft and a hard one. It refuses what is above `most`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = (1024, 4096)
        self.most = 1 << 40
        monkeypatch.setattr(resource, "getrlimit", lambda _which: self.now)
        monkeypatch.setattr(resource, "setrlimit", self.set)

    def set(self, _which: int, limits: tuple[int, int]) -> None:
        if limits[0] > self.most:
            raise ValueError("not allowed to raise maximum limit")
        self.now = limits


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    return Limits(monkeypatch)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 4096), (4096, 4096)),
        ((1024, 1024), (1024, 1024)),
        ((1024, NONE), (LIMIT_MAX, NONE)),
        ((NONE, NONE), (NONE, NONE)),
        ((1024, 1 << 30), (1 << 30, 1 << 30)),
    ],
)
def test_the_soft_limit_is_raised_to_the_hard_one(
    limits: Limits, before: tuple[int, int], after: tuple[int, int]
) -> None:
    limits.now = before
    raise_descriptor_limit()
    assert limits.now == after


@pytest.mark.parametrize(("most", "soft"), [(100_000, 1 << 16), (20_000, 10_240), (2000, 1024)])
def test_where_the_hard_limit_cannot_be_had_less_is_tried(
    limits: Limits, most: int, soft: int
) -> None:
    limits.now = (1024, NONE)
    limits.most = most
    raise_descriptor_limit()
    assert limits.now == (soft, NONE)


@pytest.mark.parametrize(("soft", "limit"), [(1024, 1024), (NONE, LIMIT_MAX), (1 << 30, LIMIT_MAX)])
def test_no_limit_and_a_huge_one_are_a_large_one(limits: Limits, soft: int, limit: int) -> None:
    limits.now = (soft, NONE)
    assert descriptor_limit() == limit


@pytest.mark.parametrize("limit", [200, 256, 400, 1024, 4096, 65_536, LIMIT_MAX])
@pytest.mark.parametrize("others", [0, 2])
def test_nothing_is_promised_twice(limit: int, others: int) -> None:
    split = Descriptors.split(limit, others, 1024)
    assert OWN + split.engine + split.greeting + split.backlog + split.clients <= limit - 2 * others
    assert ENGINE_MIN <= split.engine <= ENGINE_MAX
    assert split.greeting <= GREETING_MAX
    assert CLIENTS_MIN <= split.clients <= 1024
    assert split.backlog > 0


def test_where_there_are_enough_clients_have_what_the_server_allows() -> None:
    split = Descriptors.split(4096, 2, 1024)
    assert (split.engine, split.greeting, split.clients) == (256, 64, 1024)


@pytest.mark.parametrize("limit", [0, 20, 64, 150])
def test_too_low_a_limit_is_refused_with_the_one_that_does(limit: int) -> None:
    with pytest.raises(ConfigError) as caught:
        Descriptors.split(limit, 4, 1024)
    least = caught.value.details["least"]
    assert f"it is {limit}" in caught.value.message
    assert f"'ulimit -n {least}'" in caught.value.message
    assert Descriptors.split(least, 4, 1024).clients >= CLIENTS_MIN
    with pytest.raises(ConfigError):
        Descriptors.split(least - 1, 4, 1024)


def test_the_engine_opens_what_the_limit_has_room_for() -> None:
    assert [engine_files(limit) for limit in (64, 400, 1 << 20)] == [ENGINE_MIN, 100, ENGINE_MAX]

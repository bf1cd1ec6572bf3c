"""Allowances: token buckets for requests and bytes, and connections at once."""

from __future__ import annotations

import pytest

from kvorum.model.errors import TooManyRequests
from kvorum.model.security_values import PrincipalLimits
from kvorum.service.allowance import Allowance


class Stage:
    def __init__(self, **limits: int) -> None:
        self.now = 50.0
        self.allowance = Allowance("The token 't'", PrincipalLimits(**limits), lambda: self.now)

    def refused(self, size: int = 1) -> float:
        """In how many seconds to come again; 0 if the request was let in."""
        try:
            self.allowance.admit(size)
        except TooManyRequests as error:
            return float(error.details["retry_after"])
        return 0.0


def test_requests_come_back_at_the_rate() -> None:
    stage = Stage(requests_per_s=2)
    assert [stage.refused() for _ in range(3)] == [0, 0, 0.5]
    stage.now += 0.5
    assert [stage.refused() for _ in range(2)] == [0, 0.5]
    stage.now += 100
    assert [stage.refused() for _ in range(3)] == [0, 0, 0.5]


def test_each_operation_of_a_list_counts() -> None:
    stage = Stage(requests_per_s=10)
    assert stage.refused() == 0
    stage.allowance.charge_operations(30)
    assert stage.refused() == pytest.approx(2.1)
    stage.now += 2.2
    assert stage.refused() == 0


def test_a_list_of_nothing_gives_nothing_back() -> None:
    stage = Stage(requests_per_s=1)
    assert stage.refused() == 0
    stage.allowance.charge_operations(0)
    assert stage.refused() == 1


def test_bytes_of_requests_and_answers() -> None:
    stage = Stage(bytes_per_s=1000)
    assert stage.refused(600) == 0
    stage.allowance.charge_bytes(2400)
    assert stage.refused() == pytest.approx(2.001)
    stage.now += 2.1
    assert stage.refused() == 0


def test_connections_at_once() -> None:
    stage = Stage(connections=2)
    stage.allowance.connect()
    stage.allowance.connect()
    with pytest.raises(TooManyRequests, match="has 2 connections to this node, and may have 2"):
        stage.allowance.connect()
    stage.allowance.disconnect()
    stage.allowance.connect()


def test_without_limits_nothing_is_refused() -> None:
    stage = Stage()
    assert [stage.refused(1 << 40) for _ in range(1000)] == [0] * 1000

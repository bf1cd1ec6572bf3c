"""Failed attempts: who has to wait, for how long, and that memory is bounded."""

from __future__ import annotations

import pytest

from kvorum.model.errors import TooManyAttempts
from kvorum.service.attempts import FORGOTTEN_S, FREE, WAIT_S_MAX, Attempts


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def wait(attempts: Attempts, source: str, name: str | None = None) -> float:
    try:
        attempts.check(source, name)
    except TooManyAttempts as error:
        return float(error.details["retry_after"])
    return 0.0


def test_the_waits_double_up_to_a_bound() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    waits = []
    for n in range(20):
        attempts.failed("10.0.0.1", f"name{n}")
        waits.append(wait(attempts, "10.0.0.1"))
        clock.now += waits[-1]
    assert waits[: FREE + 4] == [0.0] * FREE + [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == WAIT_S_MAX
    clock.now += FORGOTTEN_S
    attempts.failed("10.0.0.1")
    assert wait(attempts, "10.0.0.1") == 0


def test_sources_and_names_are_counted_apart() -> None:
    attempts = Attempts(Clock())
    for n in range(FREE + 1):
        attempts.failed(f"10.0.0.{n}", "ada")
    assert wait(attempts, "10.0.9.9", "ada") > 0
    assert wait(attempts, "10.0.9.9", "bob") == 0
    assert wait(attempts, "10.0.0.1", "bob") == 0
    attempts.succeeded("ada")
    assert wait(attempts, "10.0.9.9", "ada") == 0


def test_a_network_of_ipv6_is_one_source() -> None:
    attempts = Attempts(Clock())
    for n in range(FREE + 1):
        attempts.failed(f"2001:db8::{n:x}")
    assert wait(attempts, "2001:db8::ffff") > 0
    assert wait(attempts, "2001:db8:0:1::1") == 0


def test_a_success_gives_its_source_no_more_guesses() -> None:
    attempts = Attempts(Clock())
    for n in range(FREE + 1):
        attempts.failed("10.0.0.1", f"name{n}")
    attempts.succeeded("name0")
    with pytest.raises(TooManyAttempts, match=r"from 10\.0\.0\.1\. Try again in 1 s"):
        attempts.check("10.0.0.1", "mallory")


def test_no_more_are_remembered_than_may_be() -> None:
    attempts = Attempts(Clock(), most=10)
    for n in range(1000):
        attempts.failed(f"10.0.{n // 256}.{n % 256}", f"name{n}")
    assert attempts.remembered == 20
    assert attempts.failures == 1000

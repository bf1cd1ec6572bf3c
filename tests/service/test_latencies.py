"""How long the requests at the door took, by operation and outcome."""

from __future__ import annotations

from typing import Any

import pytest

from kvorum.model.errors import KvorumError, NotFound, QuorumError
from kvorum.model.request import Delete, Get, Put, Touch
from kvorum.service.admission import Admission
from kvorum.service.latencies import INTERNAL, UNMEASURED, Latencies
from kvorum.service.reply import Reply


class Told(Reply[Any]):
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.refused: list[str] = []

    def answer(self, result: Any) -> None:
        if self.error is not None:
            raise self.error

    def refuse(self, error: KvorumError) -> None:
        self.refused.append(error.code)

    def fail(self) -> None:
        self.refused.append(INTERNAL)


def settled(latencies: Latencies, error: Exception | None = None) -> None:
    reply = Told(error)
    admission = Admission(5, 1)
    admission.enter()
    reply.let_in(admission, latencies["get"])
    reply.settle("a result")
    assert admission.in_flight == 0


def test_every_request_of_one_entry_has_a_latency() -> None:
    latencies = Latencies()
    assert set(latencies.of) == {Get, Put, Touch, Delete}
    assert latencies.of[Get] is latencies["get"]


def test_an_answer_is_counted_once() -> None:
    latencies = Latencies()
    settled(latencies)
    settled(latencies)
    latencies.count()
    latencies.count()
    assert latencies["get"].answered.count == 2
    assert latencies["put"].answered.count == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("No such key."), NotFound.code),
        (QuorumError("Too few."), QuorumError.code),
        (ZeroDivisionError(), INTERNAL),
    ],
)
def test_an_error_is_counted_by_its_code(error: Exception, code: str) -> None:
    latencies = Latencies()
    settled(latencies, error)
    latencies.count()
    assert latencies["get"].answered.count == 0
    assert {of: durations.count for of, durations in latencies["get"].failed.items()} == {code: 1}


def test_what_is_not_measured_is_not_kept() -> None:
    settled(UNMEASURED)
    UNMEASURED.count()
    assert UNMEASURED["get"].answered.count == 0

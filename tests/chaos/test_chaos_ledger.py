"""The ledger itself: what it must let pass, and what it must object to."""

from __future__ import annotations

import json

import pytest
from chaos_ledger import Clock, Ledger

from kvorum.client.entry import ClockEntry, Entry, Sibling

pytestmark = pytest.mark.chaos

BEFORE = (ClockEntry("n1", 1, 100),)
AFTER = (ClockEntry("n1", 2, 200),)
BESIDE = (ClockEntry("n1", 1, 100), ClockEntry("n2", 1, 90))


class Story:
    """One key's writes, in the order in which they were sent."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.values: list[str] = []

    def acknowledged(self, clock: Clock = BEFORE) -> Story:
        self.ledger.acknowledge("key", self._send(), Entry("key", b"", clock=clock))
        return self

    def unverified(self) -> Story:
        self.ledger.doubt("key", self._send())
        return self

    def refused(self) -> Story:
        self.ledger.refuse("key", self._send())
        return self

    def objects_to(self, *numbers: int, clock: Clock = BEFORE) -> bool:
        """To a read that finds these writes; the first is the value, all are the siblings."""
        values = [json.dumps(self.values[number - 1]).encode() for number in numbers]
        if not values:
            return bool(self.ledger.vetoes("key", None))
        siblings = tuple(Sibling(value) for value in values) if len(values) > 1 else ()
        entry = Entry("key", values[0], clock=clock, siblings=siblings)
        return bool(self.ledger.vetoes("key", entry))

    def _send(self) -> int:
        number, value = self.ledger.send("key")
        self.values.append(value)
        return number


def test_the_last_acknowledged_write_must_be_there() -> None:
    story = Story().acknowledged().acknowledged()
    assert not story.objects_to(2)
    assert story.objects_to(1)
    assert story.objects_to()


def test_a_write_in_doubt_may_be_there_or_not() -> None:
    story = Story().acknowledged().unverified()
    assert not story.objects_to(1)
    assert not story.objects_to(2)
    assert not story.objects_to(2, 1)
    assert story.objects_to()


def test_an_older_one_in_doubt_may_only_replace_it_by_happening_later() -> None:
    story = Story().unverified().acknowledged(BEFORE)
    assert story.objects_to(1, clock=BEFORE)
    assert story.objects_to(1, clock=BESIDE)
    assert not story.objects_to(1, clock=AFTER)
    assert not story.objects_to(1, 2, clock=BESIDE)


def test_a_key_without_acknowledged_writes_may_be_absent() -> None:
    assert not Story().unverified().objects_to()


def test_a_refused_write_must_never_be_there() -> None:
    story = Story().acknowledged().refused()
    assert not story.objects_to(1)
    assert story.objects_to(2)
    assert story.objects_to(1, 2)


@pytest.mark.parametrize("value", ["1/ff", "9/ff", "1", "", "/", "-1/"])
def test_what_nobody_wrote_must_never_be_there(value: str) -> None:
    story = Story().acknowledged()
    entry = Entry("key", json.dumps(value).encode(), clock=BEFORE)
    assert any("nobody wrote" in text for text in story.ledger.vetoes("key", entry))

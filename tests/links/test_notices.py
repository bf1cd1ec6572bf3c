"""Notices: a lasting condition is logged once, and again when it comes back."""

from __future__ import annotations

import logging

import pytest

from kvorum.links.notices import Notices


def test_once_until_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices(logging.getLogger("test"))
    for _ in range(3):
        notices.say("n1", "n1 is down")
        notices.say("n1", "n1 is refused")
        notices.say("n2", "n2 is down")
    assert caplog.messages == ["n1 is down", "n1 is refused", "n2 is down"]
    notices.over("n1")
    notices.say("n1", "n1 is down")
    notices.say("n2", "n2 is down")
    assert caplog.messages[3:] == ["n1 is down"]


def test_memory_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    notices = Notices(logging.getLogger("test"))
    for number in range(10_000):
        notices.say(f"host {number}", "garbage")
        notices.say("one host", f"garbage {number}")
    assert sum(len(texts) for texts in notices._said.values()) < 1000

"""Findings: what a check of a cluster has come to, each with the next command to type."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Level = Literal["ok", "warn", "fail"]
ORDER: Final[dict[Level, int]] = {"fail": 0, "warn": 1, "ok": 2}


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check has found. `about`: the node, namespace or thing. `what`: in a sentence.
    `next`: a command that shows more or ends it; empty if all is well.
    """

    level: Level
    check: str
    about: str
    what: str
    next: str = ""


def fail(check: str, about: str, what: str, then: str) -> Finding:
    """Something is broken, or soon will be."""
    return Finding("fail", check, about, what, then)


def warn(check: str, about: str, what: str, then: str) -> Finding:
    """Something is not as it should be, and nothing is broken yet."""
    return Finding("warn", check, about, what, then)


def well(check: str, what: str) -> Finding:
    """The check has found nothing wrong."""
    return Finding("ok", check, "", what)

"""Errors as problems: what each advises, and that the guide to the API tells of all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kvorum.api.batch import AnswerTooLong
from kvorum.api.http import refusals
from kvorum.api.http.problem import problem
from kvorum.api.http.response import REASONS
from kvorum.model.errors import BY_CODE, KvorumError, NotFound

GUIDE = Path(__file__).parents[2] / "docs" / "http-api.md"
ROW = re.compile(r"\| (?P<status>\d{3}) \| (?P<codes>`[a-z_]+`(?:, `[a-z_]+`)*) \| .* \|")


def kinds_of_error() -> Iterator[type[KvorumError]]:
    yield from BY_CODE.values()
    yield AnswerTooLong
    for found in vars(refusals).values():
        if isinstance(found, type) and found.__module__ == refusals.__name__:
            yield found


KINDS = sorted(kinds_of_error(), key=lambda kind: kind.code)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)


def told(kind: type[KvorumError], **details: Any) -> dict[str, Any]:
    """The problem that such an error is told as."""
    error = kind.__new__(kind)
    KvorumError.__init__(error, "wanted one thing, got another", **details)
    document = msgspec.json.decode(problem(error))
    assert isinstance(document, dict)
    return document


def stranger(status: int) -> type[KvorumError]:
    """Of a code that only a later version knows."""
    return type("Stranger", (KvorumError,), {"code": "of_a_later_version", "status": status})


@each_kind
def test_each_code_has_an_advice_of_its_own(kind: type[KvorumError]) -> None:
    assert kind.status in REASONS
    assert told(kind)["advice"] != told(stranger(kind.status))["advice"]


@each_kind
def test_each_code_is_in_the_guide_with_its_status(kind: type[KvorumError]) -> None:
    assert (kind.status, kind.code) in set(documented())


def test_the_guide_tells_of_no_other_codes() -> None:
    known = {(kind.status, kind.code) for kind in KINDS}
    # That of a value that is too large is another one than that of its kind.
    assert set(documented()) == known | {(413, "invalid_value")}


def documented() -> Iterator[tuple[int, str]]:
    for row in ROW.finditer(GUIDE.read_text()):
        for code in re.findall(r"[a-z_]+", row["codes"]):
            yield int(row["status"]), code


def test_an_unknown_outcome_is_looked_at_before_anything_is_repeated() -> None:
    for code in ("connection_failed", "timeout", "quorum_not_met", "unavailable"):
        assert "read" in told(BY_CODE[code], outcome="unknown")["advice"].lower()


def test_what_is_refused_for_good_is_not_to_be_retried() -> None:
    advice = told(AnswerTooLong)["advice"]
    assert "another request" in advice
    assert "later" not in advice


def test_an_error_may_bring_an_advice_of_its_own() -> None:
    document = told(NotFound, advice="Look there.", got="this")
    assert (document["advice"], document["got"]) == ("Look there.", "this")

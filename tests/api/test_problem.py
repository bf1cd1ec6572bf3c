"""Errors as problems: what each advises, and that the guide to the API tells of all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import msgspec
import pytest

import kvorum
from kvorum.api.http.problem import problem
from kvorum.api.http.refusals import AnswerTooLong
from kvorum.api.http.response import REASONS
from kvorum.api.http.statuses import STATUSES, status_of
from kvorum.model.errors import BY_CODE, KvorumError, NotFound, from_code

GUIDE = Path(__file__).parents[2] / "docs" / "http-api.md"
ROW = re.compile(r"\| (?P<status>\d{3}) \| (?P<codes>`[a-z_]+`(?:, `[a-z_]+`)*) \| .* \|")


ROOMS = ("model", "service", "listener", "api")
"""Those whose errors an HTTP client may be told."""


def kinds_of_error() -> Iterator[type[KvorumError]]:
    """Every class of errors in these rooms, whether the table of statuses has it or not."""
    for room in ROOMS:
        for module in walk_packages([str(Path(kvorum.__file__).parent / room)], f"kvorum.{room}."):
            for found in vars(import_module(module.name)).values():
                if isinstance(found, type) and issubclass(found, KvorumError):
                    yield found


KINDS = sorted(set(kinds_of_error()), key=lambda kind: (kind.code, kind.__name__))
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def told(kind: type[KvorumError], **details: Any) -> dict[str, Any]:
    """The problem that such an error is told as."""
    error = kind.__new__(kind)
    KvorumError.__init__(error, "wanted one thing, got another", **details)
    document = msgspec.json.decode(problem(error))
    assert isinstance(document, dict)
    return document


def stranger(kind: type[KvorumError]) -> type[KvorumError]:
    """Of a code that only a later version knows, with the status of `kind`."""
    return type("Stranger", (kind,), {"code": "of_a_later_version"})


@each_kind
def test_each_class_has_a_status_and_its_code_an_advice(kind: type[KvorumError]) -> None:
    assert STATUSES[kind] in REASONS
    assert told(kind)["status"] == STATUSES[kind]
    assert told(kind)["title"] == REASONS[STATUSES[kind]]
    assert told(kind)["advice"] != told(stranger(kind))["advice"]


def test_the_table_has_no_class_that_is_not_there() -> None:
    assert set(STATUSES) == set(KINDS)
    assert len(KINDS) > len(BY_CODE)


def test_what_this_version_does_not_know_has_the_status_of_what_it_knows_of_it() -> None:
    assert status_of(from_code("of_a_later_version", "?", "unknown", {})) == 500
    assert told(stranger(NotFound))["status"] == 404


@each_kind
def test_each_code_is_in_the_guide_with_its_status(kind: type[KvorumError]) -> None:
    assert (STATUSES[kind], kind.code) in set(documented())


def test_the_guide_tells_of_no_other_codes() -> None:
    assert set(documented()) == {(STATUSES[kind], kind.code) for kind in KINDS}


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


@each_kind
def test_an_advice_names_no_option_of_a_command(kind: type[KvorumError]) -> None:
    assert "--" not in told(kind)["advice"]


def test_an_error_may_bring_an_advice_of_its_own() -> None:
    document = told(NotFound, advice="Look there.", got="this")
    assert (document["advice"], document["got"]) == ("Look there.", "this")

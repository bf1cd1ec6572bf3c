from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.api.http.statuses import STATUSES
from kvorum.client import answers
from kvorum.client.answers import Answer
from kvorum.client.values import JsonText
from kvorum.model import errors
from kvorum.model.errors import KvorumError, Outcome, ProtocolError


def problem(status: int, **members: Any) -> KvorumError:
    return answers.error(Answer(status, json.dumps(members).encode(), unverified="unknown"))


@pytest.mark.parametrize("kind", errors.BY_CODE.values(), ids=lambda kind: kind.code)
def test_a_code_names_the_class_of_the_error(kind: type[KvorumError]) -> None:
    error = problem(STATUSES[kind], code=kind.code, outcome="unknown", detail="why")
    assert (type(error), error.message, error.outcome) == (kind, "why", "unknown")


def test_a_quorum_error_says_how_many_and_who() -> None:
    error = problem(503, code="quorum_not_met", outcome="none", needed=2, got=1, replicas=["n1"])
    assert isinstance(error, errors.QuorumError)
    assert (error.needed, error.got, error.replicas) == (2, 1, ["n1"])


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RequestError),
        (413, errors.RequestError),
        (401, errors.Unauthenticated),
        (429, errors.TooManyRequests),
        (500, KvorumError),
        (502, errors.UnavailableError),
        (503, errors.UnavailableError),
        (504, errors.TimeoutExpired),
    ],
)
def test_an_unknown_code_is_kept_and_classed_by_its_status(
    status: int, kind: type[KvorumError]
) -> None:
    error = problem(status, code="brand_new", title="New")
    assert (type(error), error.code, error.message) == (kind, "brand_new", "New")


def test_only_a_server_that_says_so_has_changed_nothing() -> None:
    assert problem(503, code="unavailable").outcome == "unknown"
    assert problem(503, code="unavailable", outcome="perhaps").outcome == "unknown"
    assert problem(503, code="unavailable", outcome="none").outcome == "none"
    assert problem(400, code="bad_request").outcome == "none"


def test_a_read_changes_nothing_whatever_the_server_says() -> None:
    body = b'{"code": "timeout", "outcome": "unknown"}'
    assert answers.error(Answer(504, body, unverified="none")).outcome == "none"


def test_members_that_would_clash_with_the_error_itself_are_dropped() -> None:
    error = problem(400, code="bad_request", detail="why", message=1, self=2, got=3)
    assert error.details == {"got": 3}


def test_the_header_says_when_to_come_back_if_the_body_does_not() -> None:
    assert answers.error(Answer(503, b"<html>", retry_after=3.0)).details["retry_after"] == 3.0
    body = b'{"code": "overloaded", "retry_after": 0.5}'
    assert answers.error(Answer(503, body, retry_after=1.0)).details["retry_after"] == 0.5


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())
BODIES = st.binary() | ANY_JSON


@given(BODIES)
def test_no_body_is_more_than_a_protocol_error(body: bytes) -> None:
    answer = Answer(200, body, unverified="unknown")
    readers: list[Callable[[], Any]] = [
        lambda: answers.found("k", answer),
        lambda: answers.written("k", JsonText(b"1"), answer),
        lambda: answers.found_many(["k"], answer),
        lambda: answers.written_many([("k", JsonText(b"1"))], answer),
        lambda: answers.page(answer),
        lambda: answers.document(answer),
    ]
    for read in readers:
        assert protocol_outcome(read) in (None, "unknown")


def protocol_outcome(read: Callable[[], Any]) -> Outcome | None:
    """None if `read` made sense of it."""
    try:
        read()
    except ProtocolError as error:
        return error.outcome
    return None


@given(BODIES, st.integers(300, 599))
def test_every_error_body_is_an_error(body: bytes, status: int) -> None:
    assert isinstance(answers.error(Answer(status, body)), KvorumError)


def test_an_entry_with_siblings() -> None:
    clock = [["n1", 2, 1000], ["n2", 1, 900]]
    metadata = {"valueVersion": "v", "clock": clock, "hash": "h", "later": "ignored"}
    other = {"value": "Zm9v", "metadata": {"clock": [], "hash": "g", "encoding": "base64"}}
    body = msgspec.json.encode({"value": 1.0, "metadata": metadata, "siblings": [other]})
    entry = answers.found("k", Answer(200, body))
    assert (entry.value, entry.json, entry.version, entry.hash) == (1.0, b"1.0", "v", "h")
    assert [(c.node, c.counter, c.timestamp) for c in entry.clock] == [
        ("n1", 2, 1000),
        ("n2", 1, 900),
    ]
    assert [(s.value, s.hash) for s in entry.siblings] == [(b"foo", "g")]


@pytest.mark.parametrize("entries", [[], [{"status": 200}], [{"status": 404}, {"status": 404}]])
def test_a_list_must_have_an_outcome_for_each_item(entries: list[Any]) -> None:
    answer = Answer(200, msgspec.json.encode({"entries": entries}), unverified="unknown")
    try:
        [result] = answers.found_many(["k"], answer)
    except ProtocolError as error:
        result = error
    assert isinstance(result, ProtocolError)
    assert result.outcome == "unknown"

"""Metrics of clients: their requests, their connections, and the loop that serves both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from kvorum.documents.status import Connections
from kvorum.metrics.metric import counter, gauge, histogram
from kvorum.metrics.sources import Sources
from kvorum.model.errors import (
    ClockWrong,
    DiskFull,
    NotFound,
    Overloaded,
    PreconditionFailed,
    QuorumError,
    TimeoutExpired,
    UnavailableError,
)
from kvorum.runtime.durations import Durations
from kvorum.service.latencies import Latencies

OK: Final = "ok"
_FAILED: Final = "failed"
_OUTCOME_OF: Final = {
    NotFound.code: "not_found",
    PreconditionFailed.code: "precondition",
    TimeoutExpired.code: "timeout",
    UnavailableError.code: "unavailable",
    QuorumError.code: "unavailable",
    Overloaded.code: "refused",
    DiskFull.code: "refused",
    ClockWrong.code: "refused",
    "bad_request": "invalid",
    "invalid_key": "invalid",
    "invalid_value": "invalid",
    "invalid_version": "invalid",
    "namespace_not_found": "invalid",
    "too_many_siblings": "invalid",
}
"""By code of the error. Any other is a failure of the node."""
OUTCOMES: Final = (OK, *dict.fromkeys(_OUTCOME_OF.values()), _FAILED)

DURATION: Final = histogram(
    "request_duration_seconds",
    "How long requests took, from when they were let in until their answers were made.",
    "operation",
    "outcome",
)
ERRORS: Final = counter(
    "request_errors_total", "Requests that ended with an error.", "operation", "code"
)
QUORUM_FAILURES: Final = counter(
    "quorum_failures_total", "Requests that too few replicas answered or acknowledged."
)
UNDER_WAY: Final = gauge("requests_under_way", "Requests that have been let in and not answered.")
REFUSED: Final = counter(
    "requests_refused_total", "Requests not let in, as too many others were under way."
)
RESPONSES: Final = counter("responses_total", "Responses of any kind that were made.")
CONNECTIONS: Final = gauge("connections", "Connections of clients that are open.")
CONNECTIONS_MAX: Final = gauge("connections_max", "Connections of clients that may be open.")
ACCEPTED: Final = counter("connections_accepted_total", "Connections of clients that were let in.")
GIVEN_UP: Final = counter(
    "connections_given_up_total", "Connections closed while idle, to make room for others."
)
CONNECTIONS_REFUSED: Final = counter(
    "connections_refused_total", "Connections refused, as all others had a request under way."
)
UNREAD: Final = gauge("unread_answer_bytes", "Bytes of answers that clients have not taken.")
UNREAD_MAX: Final = gauge("unread_answer_bytes_max", "How many of these there may be.")
LOOP_LAG: Final = histogram(
    "loop_lag_seconds", "How much later than it should the event loop called back."
)

METRICS: Final = (
    *(DURATION, ERRORS, QUORUM_FAILURES, UNDER_WAY, REFUSED, RESPONSES, CONNECTIONS),
    *(CONNECTIONS_MAX, ACCEPTED, GIVEN_UP, CONNECTIONS_REFUSED, UNREAD, UNREAD_MAX, LOOP_LAG),
)


def outcome_of(code: str) -> str:
    """The outcome that an error of this code counts as."""
    return _OUTCOME_OF.get(code, _FAILED)


def collect(sources: Sources, clients: Connections | None) -> Iterator[Metric]:
    """The metrics, as of now."""
    latencies = sources.latencies
    latencies.count()
    yield DURATION.histogram(_by_outcome(latencies).items())
    errors = {
        (operation, code): durations.count
        for operation, latency in latencies.items()
        for code, durations in latency.failed.items()
    }
    yield ERRORS.by_label(errors.items())
    by_code = Counter[str]()
    for (_, code), number in errors.items():
        by_code[code] += number
    yield QUORUM_FAILURES.of(by_code[QuorumError.code])
    yield UNDER_WAY.of(sources.admission.in_flight)
    yield REFUSED.of(sources.admission.refused)
    yield LOOP_LAG.histogram([((), sources.loop_lag.lags)])
    if clients is not None:
        yield from _connections(clients)


def _connections(clients: Connections) -> Iterator[Metric]:
    yield RESPONSES.of(clients.responses)
    yield CONNECTIONS.of(clients.open)
    yield CONNECTIONS_MAX.of(clients.max)
    yield ACCEPTED.of(clients.accepted)
    yield GIVEN_UP.of(clients.given_up)
    yield CONNECTIONS_REFUSED.of(clients.refused)
    yield UNREAD.of(clients.unread_bytes)
    yield UNREAD_MAX.of(clients.unread_bytes_max)


def _by_outcome(latencies: Latencies) -> dict[tuple[str, str], Durations]:
    """By operation and outcome: all that have succeeded once, and those errors that there were."""
    found: dict[tuple[str, str], Durations] = {}
    for operation, latency in latencies.items():
        found[operation, OK] = latency.answered
        for code, durations in latency.failed.items():
            found.setdefault((operation, outcome_of(code)), Durations()).merge(durations)
    return found

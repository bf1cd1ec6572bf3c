"""Metrics of the audit log: how much it has written, and what it had to drop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from prometheus_client.core import Metric

from kvorum.metrics.metric import counter, gauge

WRITTEN: Final = counter("audit_entries_total", "Entries of requests that the audit log holds.")
DROPPED: Final = counter(
    "audit_entries_dropped_total", "Entries that the audit log lacks, as they found no room."
)
FAILING: Final = gauge("audit_failing", "1 while the disk does not take the audit log, else 0.")

METRICS: Final = (WRITTEN, DROPPED, FAILING)


class AuditNumbers(Protocol):
    """What an audit log counts since the start of the node. `failure`: None while all is well."""

    @property
    def written(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    @property
    def failure(self) -> object: ...


def collect(numbers: AuditNumbers) -> Iterator[Metric]:
    """The metrics, as of now."""
    yield WRITTEN.of(numbers.written)
    yield DROPPED.of(numbers.dropped)
    yield FAILING.of(numbers.failure is not None)

"""A metric: its name, kind and labels, and what it says.

Names follow the conventions of Prometheus: base units (seconds, bytes) as suffixes, `_total` for
what only grows. `METRICS` names all that a node can tell; docs/metrics.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Final, Literal, NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from kvorum.runtime.durations import BOUNDS, Durations

Kind = Literal["counter", "gauge", "histogram"]
_BOUNDS: Final = [*map(str, BOUNDS), "+Inf"]


class Declared(NamedTuple):
    """A metric of a node, without `kvorum_` in front of its name. `labels`: what tells its
    samples apart.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As in what is scraped."""
        return f"kvorum_{self.name}"

    def of(self, value: float) -> Metric:
        """The metric with its only sample."""
        return self.by_label([((), value)])

    def by_label(self, values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
        """The metric with the sample of each tuple of labels' values."""
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        # The family's name is without the _total of its samples.
        family = make(self.full_name.removesuffix("_total"), self.help, labels=self.labels)
        for labels, value in values:
            family.add_metric(labels, value)
        return family

    def histogram(self, durations: Iterable[tuple[tuple[str, ...], Durations]]) -> Metric:
        """The metric with the histogram of each tuple of labels' values."""
        family = HistogramMetricFamily(self.full_name, self.help, labels=self.labels)
        for labels, each in durations:
            buckets = list(zip(_BOUNDS, accumulate(each.counts), strict=True))
            family.add_metric(labels, buckets, each.seconds)
        return family


def counter(name: str, text: str, *labels: str) -> Declared:
    """A metric that only grows, while the node runs."""
    return Declared(name, "counter", text, labels)


def gauge(name: str, text: str, *labels: str) -> Declared:
    """A metric that is as of now."""
    return Declared(name, "gauge", text, labels)


def histogram(name: str, text: str, *labels: str) -> Declared:
    """A metric that says how often something took how long."""
    return Declared(name, "histogram", text, labels)

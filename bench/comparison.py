"""What the rounds have measured, side by side: figures, ratios, a table, a document.

A ratio is our figure over that of the other system, each with its better way to spread
connections, which is chosen for each operation by its rate. In each round all are measured, so that
a busy minute of the machine hits all; the spread of the ratios over the rounds tells how much
noise is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import mean, quantiles
from typing import Any, Final

from kvorum.bench.histogram import Histogram
from kvorum.bench.report import latency
from kvorum.model.errors import KvorumError

PUT: Final = "put"
GET: Final = "get"
OPERATIONS: Final = (PUT, GET)

_COLUMNS: Final = ("system", "connections to", "operation", "per second", "p50 ms", "p99 ms")


@dataclass
class Turn:
    """What one turn of load has measured; latencies in nanoseconds."""

    requests: int = 0
    per_second: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    latencies: Histogram = field(default_factory=Histogram)


@dataclass
class Series:
    """All rounds of one operation on one system, with one way to spread connections."""

    system: str
    targets: str
    operation: str
    rounds: list[Turn] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return mean(turn.per_second for turn in self.rounds)

    @property
    def errors(self) -> int:
        return sum(turn.errors.total() for turn in self.rounds)

    @property
    def latencies(self) -> Histogram:
        merged = Histogram()
        for turn in self.rounds:
            merged.merge(turn.latencies)
        return merged

    def latency_ms(self, share: float) -> float:
        return self.latencies.quantiles([share])[0] / 1e6


@dataclass
class Ratio:
    """Ours to theirs. Half of all rounds had a ratio between `lower` and `upper`."""

    systems: str
    operation: str
    targets: str
    per_second: float
    lower: float
    upper: float
    p50: float
    p99: float


class Comparison:
    """`ours` is compared with `theirs`, which are names of systems."""

    def __init__(self, ours: str = "kvorum", theirs: str = "etcd") -> None:
        self._ours = ours
        self._theirs = theirs
        self._series: dict[tuple[str, str, str], Series] = {}

    def add(self, system: str, targets: str, operation: str, turn: Turn) -> None:
        key = (system, targets, operation)
        self._series.setdefault(key, Series(*key)).rounds.append(turn)

    @property
    def series(self) -> Iterable[Series]:
        return self._series.values()

    @property
    def errors(self) -> int:
        return sum(series.errors for series in self.series)

    def check(self) -> None:
        """Raises KvorumError if a request failed: then the figures are of something else."""
        if self.errors:
            raise KvorumError(f"{self.errors} requests failed; -o json shows which.")

    def ratios(self) -> list[Ratio]:
        """Empty unless both systems were measured."""
        found = []
        for operation in OPERATIONS:
            ours, theirs = self._best(self._ours, operation), self._best(self._theirs, operation)
            if ours and theirs:
                found.append(_ratio(ours, theirs))
        return found

    def _best(self, system: str, operation: str) -> Series | None:
        of_it = [s for s in self.series if (s.system, s.operation) == (system, operation)]
        return max(of_it, key=lambda series: series.per_second, default=None)

    def table(self) -> str:
        """Markdown, which is legible as it is."""
        lines = [_row(_COLUMNS), _row("---" if i < 3 else "---:" for i in range(len(_COLUMNS)))]
        lines += [_row(_cells(series)) for series in self.series]
        lines += [_row(_ratio_cells(ratio)) for ratio in self.ratios()]
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        return {
            "series": [
                {
                    "system": series.system,
                    "connections_to": series.targets,
                    "operation": series.operation,
                    "per_second": series.per_second,
                    "per_second_by_round": [turn.per_second for turn in series.rounds],
                    "requests": sum(turn.requests for turn in series.rounds),
                    "errors": [dict(turn.errors) for turn in series.rounds],
                    "latency_ms": latency(series.latencies),
                }
                for series in self.series
            ],
            "ratios": [vars(ratio) for ratio in self.ratios()],
        }


def _ratio(ours: Series, theirs: Series) -> Ratio:
    by_round = [
        a.per_second / b.per_second for a, b in zip(ours.rounds, theirs.rounds, strict=True)
    ]
    lower, upper = _middle_half(by_round)
    return Ratio(
        systems=f"{ours.system} / {theirs.system}",
        operation=ours.operation,
        targets=" / ".join(dict.fromkeys((ours.targets, theirs.targets))),
        per_second=ours.per_second / theirs.per_second,
        lower=lower,
        upper=upper,
        p50=ours.latency_ms(0.5) / theirs.latency_ms(0.5),
        p99=ours.latency_ms(0.99) / theirs.latency_ms(0.99),
    )


def _middle_half(ratios: list[float]) -> tuple[float, float]:
    if len(ratios) == 1:
        return ratios[0], ratios[0]
    lower, _, upper = quantiles(ratios, n=4, method="inclusive")
    return lower, upper


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(series: Series) -> list[str]:
    p50, p99 = series.latency_ms(0.5), series.latency_ms(0.99)
    figures = [f"{series.per_second:,.0f}", f"{p50:.2f}", f"{p99:.2f}"]
    return [series.system, series.targets, series.operation, *figures]


def _ratio_cells(ratio: Ratio) -> list[str]:
    rate = f"{ratio.per_second:.2f}x ({ratio.lower:.2f} to {ratio.upper:.2f})"
    latencies = [f"{ratio.p50:.2f}x", f"{ratio.p99:.2f}x"]
    return [ratio.systems, ratio.targets, ratio.operation, rate, *latencies]

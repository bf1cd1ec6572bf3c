"""Many runs, added up: what was done, what struck, what failed and how to replay it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kvorum.sim.parameters import OPERATIONS
from kvorum.sim.run import Report


@dataclass(eq=False)
class Summary:
    """The sums over many runs. `_nodes` and `_operations`: as asked for, for the replay."""

    _nodes: int | None
    _operations: int
    runs: int = field(default=0, init=False)
    operations: int = field(default=0, init=False)
    acked: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    unknown: int = field(default=0, init=False)
    writes_forgotten: int = field(default=0, init=False)
    simulated_s: float = field(default=0.0, init=False)
    faults: Counter[str] = field(default_factory=Counter, init=False)
    failures: list[Report] = field(default_factory=list, init=False)

    def add(self, report: Report) -> None:
        self.runs += 1
        self.operations += report.operations
        self.acked += report.acked
        self.refused += report.refused
        self.unknown += report.unknown
        self.writes_forgotten += report.writes_forgotten
        self.simulated_s += report.simulated_s
        self.faults.update(report.faults)
        if report.violations:
            self.failures.append(report)

    def replay(self, seed: int) -> str:
        """The command that runs `seed` again, and shows all of it."""
        words = ["kvorum sim --seeds 1 --first-seed", str(seed)]
        if self._nodes is not None:
            words += ["--nodes", str(self._nodes)]
        if self._operations != OPERATIONS:
            words += ["--operations", str(self._operations)]
        return " ".join([*words, "--trace"])

"""Many runs, added up: what was done, what struck, what failed and how to replay it."""

from __future__ import annotations

from collections import Counter

from kvorum.sim.parameters import OPERATIONS
from kvorum.sim.run import Report


class Summary:
    def __init__(self, nodes: int | None, operations: int) -> None:
        """`nodes` and `operations` as they were asked for, for the replay."""
        self._nodes = nodes
        self._operations = operations
        self.runs = 0
        self.operations = 0
        self.acked = 0
        self.refused = 0
        self.unknown = 0
        self.writes_forgotten = 0
        self.simulated_s = 0.0
        self.faults: Counter[str] = Counter()
        self.failures: list[Report] = []

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

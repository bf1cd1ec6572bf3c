"""What a scenario found: a document with everything, and the few figures that are aimed at."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

_HEADER: Final = ("scenario", "figure", "measured", "to reach", "reached")
_KINDS: Final = ("---", "---", "---:", "---:", "---")


@dataclass(frozen=True)
class Goal:
    """`holds(measured, bound)` says whether it is reached."""

    text: str
    bound: float
    holds: Callable[[float, float], bool]


def at_most(bound: float, unit: str = "") -> Goal:
    return Goal(f"at most {_shown(bound, unit)}", bound, operator.le)


def at_least(bound: float, unit: str = "") -> Goal:
    return Goal(f"at least {_shown(bound, unit)}", bound, operator.ge)


@dataclass(frozen=True)
class Figure:
    """`value` None: it did not come to that within the time of the run."""

    name: str
    value: float | None
    unit: str = ""
    goal: Goal | None = None

    @property
    def reached(self) -> bool | None:
        """None if nothing is aimed at."""
        if self.goal is None:
            return None
        return self.value is not None and self.goal.holds(self.value, self.goal.bound)

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "to_reach": None if self.goal is None else self.goal.text,
            "reached": self.reached,
        }

    def cells(self) -> list[str]:
        reached = {None: "", True: "yes", False: "no"}[self.reached]
        measured = "never" if self.value is None else _shown(self.value, self.unit)
        return [self.name, measured, "" if self.goal is None else self.goal.text, reached]


@dataclass(frozen=True)
class Outcome:
    scenario: str
    figures: list[Figure]
    details: dict[str, Any]

    def document(self) -> dict[str, Any]:
        figures = [figure.document() for figure in self.figures]
        return {"scenario": self.scenario, "figures": figures, **self.details}


def table(outcomes: Iterable[Outcome]) -> str:
    """Markdown, which is legible as it is."""
    rows = [[o.scenario, *figure.cells()] for o in outcomes for figure in o.figures]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (_HEADER, _KINDS, *rows))


def _shown(value: float, unit: str) -> str:
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
    return f"{text} {unit}".strip()

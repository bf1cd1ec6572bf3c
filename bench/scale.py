"""How large and how long the scenarios are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Scale:
    work_dir: Path
    keys: int
    """Records that each replica holds where one differs."""
    writes: int
    """That the dead node misses."""
    seconds: float
    """For each stretch of load that is measured."""
    connections: int
    foreground: int
    """Connections of the load that goes on while a node is healed."""
    rounds: int
    repair: bool
    """Whether a repair is asked for, and not only waited for."""

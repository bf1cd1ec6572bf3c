"""Runs `kvorum` with a wall clock that a test sets: it is ahead by what is in a file, in ms.

    python chaos_clock.py FILE python -P -m kvorum serve ...

Only here: the program itself has no way to be told another time. Sweeps come every second, so that
a test need not wait a minute for one.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from kvorum.cli import main
from kvorum.repair.upkeep import Upkeep
from kvorum.replication.replicator import Replicator
from kvorum.runtime.loop import LoopRuntime

_SWEEP_S: Final = 1.0


def around(ahead_ms_file: Path) -> tuple[str, ...]:
    """The words before a command that have it run by this clock."""
    return (sys.executable, "-P", __file__, str(ahead_ms_file))


def set_ahead(ahead_ms_file: Path, ahead_ms: int) -> None:
    """In one step: it is read all the time."""
    draft = ahead_ms_file.with_suffix(".new")
    draft.write_text(str(ahead_ms))
    draft.replace(ahead_ms_file)


def _run(ahead_ms_file: Path, command: list[str]) -> None:
    def wall_ms(self: LoopRuntime) -> int:
        return time.time_ns() // 1_000_000 + int(ahead_ms_file.read_text())

    LoopRuntime.wall_ms = wall_ms  # type: ignore[method-assign]
    defaults = Replicator.__init__.__kwdefaults__
    assert defaults is not None
    defaults["upkeep"] = Upkeep(sweep_s=_SWEEP_S)
    main(command[command.index("kvorum") + 1 :], prog_name="kvorum")


if __name__ == "__main__":
    _run(Path(sys.argv[1]), sys.argv[2:])

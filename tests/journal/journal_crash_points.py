"""A crash at every log sync, as `crash_points.py` has it, where segments are a few writes long.

    journal_crash_points.py DIRECTORY WHEN

Syncs are then those of entries, of what is flushed of the segment before, and of marks that let go
of its entries. It prints the number of points, and in a second line the numbers of the entries
that are needed where the workload was not cut short.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import crash_points
from kit.runtime import Pump

import kvorum.local_store
from kvorum.journal.segment import SegmentLimits
from kvorum.model.errors import StorageError
from kvorum.storage.log_files import LogFiles
from kvorum.storage.syncer import InlineSyncer

OPERATIONS = 16


class Tiny(SegmentLimits, frozen=True):
    @classmethod
    def within(cls, *_: object) -> Tiny:
        return cls(memory_bytes=1 << 20, entry_bytes=2500)


def _failed(error: StorageError) -> None:
    raise error


def _look(path: Path, say: crash_points.Say) -> None:
    pump = Pump()
    log = LogFiles.open(path / "journal", pump, InlineSyncer(pump.call_soon), _failed)
    numbers = [number for number, _ in log.entries()]
    log.close()
    say(numbers=numbers)


def main(directory: Path, when: str) -> None:
    setattr(kvorum.local_store, "SegmentLimits", Tiny)  # noqa: B010  it is not its to export
    crash_points.OPERATIONS = OPERATIONS
    crash_points.main(directory, when)
    (whole,) = directory.iterdir()
    ended, said = crash_points.in_child(partial(_look, whole))
    assert ended == 0, said
    print(*said[0]["numbers"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

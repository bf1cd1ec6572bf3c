"""What `instructions.py` counts of an embedded store: so many gets or sets, one call at a time.

With "sqlite" in front of the kind, the same of SQLite, with `json` to encode and decode.

The store's clock goes on by a little with each look at it: what is done every so often must not
depend on how slow the machine is.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from embedded_vs_sqlite import open_kvorum, open_sqlite, value_of

import kvorum.runtime.inline

KEYS: Final = 640
LOOK_S: Final = 50e-6


def main() -> None:
    kind, calls = sys.argv[1], int(sys.argv[2])
    gc.disable()
    looks = count()
    clock = SimpleNamespace(monotonic=lambda: next(looks) * LOOK_S, time_ns=time.time_ns)
    setattr(kvorum.runtime.inline, "time", clock)  # noqa: B010  it is not its to export
    values: dict[str, Any] = {f"key{number:08d}": value_of(number, 100) for number in range(KEYS)}
    names = list(values)
    # One more than there are keys, so that none is stored in the place of itself.
    others = [value_of(KEYS + number, 100) for number in range(KEYS + 1)]
    opened = open_sqlite if kind.startswith("sqlite") else open_kvorum
    with (
        tempfile.TemporaryDirectory() as directory,
        opened(Path(directory), values, "256MB") as contender,
    ):
        call = contender.calls[kind.rpartition(" ")[2]]
        for number in range(calls):
            call(names[number % KEYS], others[number % len(others)])


if __name__ == "__main__":
    main()

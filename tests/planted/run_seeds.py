"""Run simulator seeds one after another and print what each violates, one JSON line a seed.

`hunt.py` starts this in a process of its own, on a copy of the package, and ends it when it
has seen enough.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
from pathlib import Path

import kvorum
from kvorum.sim.draw import draw
from kvorum.sim.run import simulate

_MEMORY_BYTES_MAX = 2 << 30
"""A bug may have records grow without end; running out of memory is an exception like others."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="the package directory that has to be run")
    parser.add_argument("seeds", type=int)
    arguments = parser.parse_args()
    found = Path(kvorum.__file__).parent
    if not found.samefile(arguments.package):
        parser.error(f"{found} would be run, and not {arguments.package}; check PYTHONPATH")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    for seed in range(arguments.seeds):
        print(json.dumps(simulate(draw(seed)).violations), flush=True)
        # What is left of a cluster is few objects in cycles, but with large arrays.
        gc.collect()


if __name__ == "__main__":
    main()

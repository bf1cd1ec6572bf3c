"""Results of jobs, by the id of the job: computed once if possible, kept for a day.

    python examples/job_results.py DIRECTORY

The results are Python objects that JSON cannot hold, so they are pickled. Only programs that one
trusts may write to a store that is read with "pickle": to unpickle is to run code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import timedelta
from fractions import Fraction

import kvorum


def harmonic(n: int) -> Fraction:
    """The job: 1 + 1/2 + ... + 1/n, exactly."""
    return sum((Fraction(1, k) for k in range(1, n + 1)), Fraction(0))


def work(store: kvorum.Embedded, jobs: Iterable[int]) -> int:
    """Do the `jobs` whose results are not there yet; returns how many that were.

    Another worker may do the same job at the same moment. Both then store the same result, which
    does no harm. If it would, this is not the way to share out jobs.
    """
    results = store.mapping("result:", ttl=timedelta(days=1))
    wanted = {f"result:{n}": n for n in jobs}
    missing = wanted.keys() - store.exists_many(wanted)
    results.update({str(wanted[key]): harmonic(wanted[key]) for key in missing})
    return len(missing)


def main(directory: str) -> None:
    with kvorum.open(directory, serializer="pickle") as store:
        print("computed:", work(store, range(1, 6)))
        print("computed:", work(store, range(1, 8)))
        results = store.mapping("result:")
        print("results:", {key: str(results[key]) for key in sorted(results)})
        print("taken:", results.pop("3"))
        print("left:", len(results))


if __name__ == "__main__":
    main(*sys.argv[1:])

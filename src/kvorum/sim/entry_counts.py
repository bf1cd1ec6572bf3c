"""What must hold of the counts that nodes keep of their entries.

counts_exact     a node counts as many entries and bytes as a scan of its store finds
"""

from __future__ import annotations

from collections.abc import Mapping

from kvorum.sim.checkers import Violation


def counts_exact(
    counted: Mapping[int, Mapping[str, tuple[int, int]]],
    found: Mapping[int, Mapping[str, tuple[int, int]]],
) -> list[Violation]:
    """`counted`: per node and namespace the entries and bytes that it tells. `found`: those that a
    scan finds.
    """
    return [
        Violation(
            "counts_exact",
            f"n{node} counts {counts[name]} entries and bytes in {name}, and has {there}",
        )
        for node, counts in counted.items()
        for name, there in found[node].items()
        if counts[name] != there
    ]

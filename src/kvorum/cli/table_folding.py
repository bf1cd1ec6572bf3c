"""Which columns of a table stand side by side where the terminal is too narrow for all of them.

No column is made narrower than what is in it: names and addresses that are cut say nothing. What
does not fit goes below instead, behind the first column again, which says whose it is:

    node  state  http                     node  state  http            since
    n1    up     127.0.0.1:7400    or     n1    up     127.0.0.1:7400  2026-01-01 10:20:30
    n2    up     127.0.0.1:7401           n2    up     127.0.0.1:7401  2026-01-01 10:20:31

    node  since
    n1    2026-01-01 10:20:30
    n2    2026-01-01 10:20:31
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

GAP: Final = 2
"""Spaces between columns."""


def column_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Of each column its widest cell, in places on a terminal; `rows` has at least a header."""
    from rich.cells import cell_len

    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def total_width(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def folded(widths: Sequence[int], room: int) -> list[list[int]]:
    """The positions of the columns that stand side by side, in tables one below the other."""
    if not widths:
        return []
    tables = [[0]]
    for column in range(1, len(widths)):
        beside = [*tables[-1], column]
        if len(tables[-1]) > 1 and total_width([widths[one] for one in beside]) > room:
            beside = [0, column]
            tables.append(beside)
        else:
            tables[-1] = beside
    return tables

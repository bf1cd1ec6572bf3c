"""docs/protocols.md as data: the rows of its tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_PAGE = Path(__file__).parent.parent / "docs" / "protocols.md"
_ROW = re.compile(r"\| (\d+) \| `(\w+)` \| (.*) \|")


class Row(NamedTuple):
    """One message: its tag, its name, and the other cells of its row."""

    tag: int
    name: str
    cells: list[str]


def rows(heading: str) -> list[Row]:
    """Those of the tables in the section with that heading, and in the sections below it."""
    depth = heading.index(" ")
    _, _, section = _PAGE.read_text().partition(f"\n{heading}\n")
    section = re.split(rf"\n#{{1,{depth}}} ", section)[0]
    found = [row for row in map(_ROW.fullmatch, section.splitlines()) if row is not None]
    return [Row(int(row[1]), row[2], row[3].split(" | ")) for row in found]

"""Reading a file of lines from its end, so that the last ones cost as little as they are long."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Stretch(NamedTuple):
    """A line without its end, and where it begins in its file. `whole`: it has an end."""

    begin: int
    line: bytes
    whole: bool


def lines_backwards(path: Path) -> Iterator[Stretch]:
    """The lines of a file, the last one first. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if not size:  # which cannot be mapped
            return
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            end = data.rfind(b"\n")
            if end + 1 < size:
                yield Stretch(end + 1, data[end + 1 :], whole=False)
            while end >= 0:
                begin = data.rfind(b"\n", 0, end) + 1
                yield Stretch(begin, data[begin:end], whole=True)
                end = begin - 1

"""Reading: the last entries of a log, and those that are written from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kvorum.audit.backwards import lines_backwards
from kvorum.audit.entry import OK, Entry
from kvorum.audit.files import log_files, path_of


class Sealed(Entry, frozen=True, kw_only=True):
    """An entry with its place in the chain."""

    n: int
    prev: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries somebody wants to see: those of a principal, of an action, those that were
    refused or failed. Without any, all.
    """

    name: str | None = None
    action: str | None = None
    refused: bool = False

    def has(self, entry: Entry) -> bool:
        """True if `entry` is one of them."""
        return (
            self.name in (None, entry.name)
            and self.action in (None, entry.action)
            and not (self.refused and entry.outcome == OK)
        )


_decode = msgspec.json.Decoder(Sealed).decode


def last_entries(directory: Path, count: int, wanted: Wanted) -> list[Sealed]:
    """The last `count` of them, in order. Lines that are no entries are passed over. Raises
    OSError.
    """
    found: list[Sealed] = []
    for file in reversed(log_files(directory)):
        for stretch in lines_backwards(file.path):
            if len(found) == count:
                break
            entry = read_entry(stretch.line) if stretch.whole else None
            if entry is not None and wanted.has(entry):
                found.append(entry)
    return found[::-1]


def following(
    directory: Path, behind: int, wanted: Wanted, wait: Callable[[], object]
) -> Iterator[Sealed]:
    """The entries behind number `behind`, and all that will be written; `wait` is called where
    there are none for now. Raises OSError.
    """
    number = log_files(directory)[-1].number
    while True:
        with path_of(directory, number).open("rb") as file:
            begun = b""
            while True:
                # Looked at before the line: then this file gets no more of them.
                ended = path_of(directory, number + 1).exists()
                begun += file.readline()
                if begun.endswith(b"\n"):
                    entry = read_entry(begun[:-1])
                    begun = b""
                    if entry is not None and entry.n > behind and wanted.has(entry):
                        yield entry
                elif ended:
                    break
                else:
                    wait()
        number += 1


def read_entry(line: bytes) -> Sealed | None:
    """What a line says; None if it is no entry."""
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

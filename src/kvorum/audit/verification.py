"""Verification: whether the chain of an audit log is whole.

What it shows: no line between the first and the last one has been changed, removed, inserted or
moved. What it cannot show: whether who can write the files has made the whole chain anew from some
line on, or has cut off its end. Both show where the number and the hash of a line were noted
elsewhere, and are compared (`expected`).

A log whose first files were removed by rotation begins where the entry of that removal says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from kvorum.audit.chain import LINE_MAX, NOTHING, Link, ReadLine, read_line
from kvorum.audit.entry import DROPPED, REMOVED, TORN, Entry
from kvorum.audit.files import is_written, log_files
from kvorum.model.errors import StorageError

Wrong = Literal["changed", "missing", "reordered", "torn", "truncated", "rewritten"]
Progress = Callable[[int, int], object]
"""(bytes read, lines read)"""

_ABOUT_LOG: Final = b'"kind":"log",'
_TELL_EVERY: Final = 4096

_decode: Final = msgspec.json.Decoder(Entry).decode


class Problem(NamedTuple):
    """The first thing that is wrong: where, and what it is. `line`: its number in the file, from 1;
    0 where it is about no line.
    """

    wrong: Wrong
    file: str
    line: int
    message: str


@dataclass(slots=True)
class Verdict:
    """What a verification has found. `first` and `last`: of the lines that were read and are right.
    `dropped`: how many entries the log says it lacks. `torn`: how often a crash left something.
    """

    files: int
    first: Link
    last: Link
    entries: int = 0
    dropped: int = 0
    torn: int = 0
    problem: Problem | None = None


def log_bytes(directory: Path) -> int:
    """The size of the log in `directory`. Raises OSError."""
    return sum(file.path.stat().st_size for file in log_files(directory))


def verify(
    directory: Path, expected: Sequence[Link] = (), progress: Progress = lambda _bytes, _lines: None
) -> Verdict:
    """Read the whole log in `directory`, up to the first thing that is wrong. `expected`: lines as
    they were noted elsewhere. Raises StorageError if it cannot be read.
    """
    try:
        return _Verification(directory, expected, progress).run()
    except FileNotFoundError as error:
        raise StorageError(
            f"The file {error.filename} was removed while the audit log was read, as a newer one "
            "was begun. Verify it again."
        ) from error
    except OSError as error:
        raise StorageError(
            f"The audit log in {directory} cannot be read: {error}. Run this as the user that the "
            "node runs as, or mend the disk."
        ) from error


class _Found(Exception):
    def __init__(self, wrong: Wrong, message: str) -> None:
        super().__init__()
        self.wrong: Wrong = wrong
        self.message = message


class _Verification:
    def __init__(self, directory: Path, expected: Sequence[Link], progress: Progress) -> None:
        self._directory = directory
        self._expected = {link.number: link.hash for link in expected}
        self._progress = progress
        self._is_written = is_written(directory)
        self._files = log_files(directory)
        self._verdict = Verdict(len(self._files), NOTHING, NOTHING)
        self._begin = NOTHING
        """Where the chain is before its first line."""
        self._begins: set[Link] = {NOTHING}
        """Where it may begin."""
        self._bytes = 0

    def run(self) -> Verdict:
        at, line = "", 0
        try:
            for file in self._files:
                at, line = file.path.name, 0
                for line, text in enumerate(_lines(file.path), 1):  # noqa: B007
                    self._take(text, is_last=file is self._files[-1])
            line = 0
            self._check_end()
        except _Found as found:
            self._verdict.problem = Problem(found.wrong, at, line, found.message)
        return self._verdict

    def _take(self, text: bytes, *, is_last: bool) -> None:
        verdict = self._verdict
        if not text.endswith(b"\n") and len(text) < LINE_MAX:
            if is_last and self._is_written:
                return  # the node is about to write the rest
            raise _Found(
                "torn",
                "The line has no end. A crash may have left it: the next start of the node keeps "
                "it aside. If nothing crashed, it was cut.",
            )
        read = read_line(text[:-1])
        if read is None:
            raise _Found("changed", f"The line does not fit its hash.{self._behind()}")
        if not verdict.entries:
            self._begin = Link(read.link.number - 1, read.prev)
            verdict.first = read.link
        else:
            self._check_follows(read)
        self._check_expected(read.link)
        verdict.last = read.link
        verdict.entries += 1
        if _ABOUT_LOG in text:
            self._hear(text)
        self._bytes += len(text)
        if not verdict.entries % _TELL_EVERY:
            self._progress(self._bytes, verdict.entries)

    def _check_follows(self, read: ReadLine) -> None:
        last, number = self._verdict.last, read.link.number
        wanted = last.number + 1
        if number == wanted:
            if read.prev != last.hash:
                raise _Found(
                    "changed",
                    f"Entry {number} follows another entry {last.number} than the one before it: "
                    "that one was changed, and its hash made anew.",
                )
        elif number <= last.number:
            raise _Found("reordered", f"Entry {number} is where entry {wanted} should be.")
        elif self._is_kept(wanted):
            raise _Found(
                "reordered", f"Entry {number} is where entry {wanted} should be, which comes later."
            )
        else:
            missing = (
                f"Entry {wanted} is"
                if number == wanted + 1
                else (f"Entries {wanted} to {number - 1} are")
            )
            raise _Found("missing", f"{missing} missing in front of entry {number}.")

    def _check_expected(self, link: Link) -> None:
        expected = self._expected.pop(link.number, None)
        if expected is not None and expected != link.hash:
            raise _Found(
                "rewritten",
                f"Entry {link.number} has the hash {link.hash}, and {expected} was expected: the "
                "log was written anew up to there, or is another one.",
            )

    def _check_end(self) -> None:
        verdict = self._verdict
        if not verdict.entries:
            raise _Found("missing", "There is no entry in the log.")
        if self._begin not in self._begins:
            raise _Found(
                "missing",
                f"The log begins with entry {verdict.first.number}, and no entry says that those "
                "before it were removed by rotation.",
            )
        for number in self._expected:
            if number > verdict.last.number:
                raise _Found(
                    "truncated",
                    f"The log ends with entry {verdict.last.number}, and entry {number} was "
                    "expected: its end was cut off.",
                )
            raise _Found(
                "missing",
                f"Entry {number} was expected, and rotation has removed it: the log begins with "
                f"entry {verdict.first.number}. Expect a later one.",
            )

    def _hear(self, text: bytes) -> None:
        """What the log says of itself."""
        entry = _decode(text)
        detail = entry.detail or {}
        if entry.action == DROPPED:
            self._verdict.dropped += detail.get("entries", 0)
        elif entry.action == TORN:
            self._verdict.torn += 1
        elif entry.action == REMOVED:
            self._begins.add(Link(detail.get("through", 0), detail.get("hash", "")))

    def _is_kept(self, number: int) -> bool:
        """True if a line with this number is anywhere in the log."""
        lines = (read_line(text[:-1]) for file in self._files for text in _lines(file.path))
        return any(read is not None and read.link.number == number for read in lines)

    def _behind(self) -> str:
        last = self._verdict.last
        return f" It follows entry {last.number}." if last.number else ""


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.readline(LINE_MAX), b"")

"""The program's stdout, whose failures can be told from all others.

A full disk or a reader that went away raises OSError like so much else, and from within whatever
printed. Here the failure comes out as `Unwritable`, raised where the operating system refuses.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Unwritable(Exception):
    """stdout takes no more; `reason` is what the operating system says."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Checked(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise Unwritable(error) from error


@contextmanager
def checked_stdout() -> Iterator[None]:
    """Within, writing to stdout raises Unwritable if it fails. A character that its encoding lacks
    is escaped: what a result tells of has been done by the time it is printed."""
    plain = cast("io.TextIOWrapper | None", sys.stdout)
    if plain is None:
        raise Unwritable(OSError("it is closed"))
    try:
        descriptor = plain.fileno()
    except io.UnsupportedOperation:  # a stream in memory, which cannot fail
        yield
        return
    plain.flush()
    buffer = io.BufferedWriter(_Checked(descriptor, "wb", closefd=False))
    sys.stdout = io.TextIOWrapper(
        buffer, plain.encoding, "backslashreplace", line_buffering=plain.line_buffering
    )
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            sys.stdout = plain


def discard_stdout() -> None:
    """What is still to be written goes nowhere; nor does the flush at exit fail."""
    if cast("object", sys.stdout) is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

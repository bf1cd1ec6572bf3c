"""The chain: each line of an audit log holds a hash of all that was written before it.

    {"time":...,"outcome":"ok","n":8,"prev":"<hash of line 7>","hash":"<hash of line 8>"}

A line is one JSON object, encoded as UTF-8. Its last three members are `n`, the number of the line,
`prev`, the hash of the line before it, and `hash`, its own. The hash is the SHA-256, in lower-case
hex, of the bytes of the line from its first one up to, and without, the comma in front of "hash".
These are all but the last 75 bytes before the line's end: `sha256(line[:-75])`. The line before
number 1 counts as having the hash of 64 zeros.

So nobody can change, remove, insert or move a line without changing the hash of the last one. Who
can write the files can make the whole chain anew from any line on, and cut off its end: that shows
only where a number and its hash have been noted elsewhere.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final, NamedTuple

START_HASH: Final = "0" * 64
"""The `prev` of line 1."""

LINE_MAX: Final = 1 << 18
"""No line has as many bytes."""

HASH: Final = re.compile(r"[0-9a-f]{64}")

_SEALED: Final = re.compile(
    rb'(\{.*,"n":([1-9][0-9]{0,18}),"prev":"([0-9a-f]{64})"),"hash":"([0-9a-f]{64})"\}', re.DOTALL
)


class Link(NamedTuple):
    """Where the chain is: the number of a line, and its hash."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


NOTHING: Final = Link(0, START_HASH)
"""Before the first line."""


class ReadLine(NamedTuple):
    """A line whose own hash is right. `prev`: the hash that it gives for the line before it."""

    link: Link
    prev: str


def seal(text: bytes, before: Link) -> tuple[bytes, Link]:
    """The line for a JSON object `text`, which is not empty, behind `before`: its bytes, with the
    line's end, and its place in the chain.
    """
    number = before.number + 1
    hashed = b'%b,"n":%d,"prev":"%b"' % (text[:-1], number, before.hash.encode())
    digest = sha256(hashed).hexdigest()
    return b'%b,"hash":"%b"}\n' % (hashed, digest.encode()), Link(number, digest)


def read_line(line: bytes) -> ReadLine | None:
    """What a line, without its end, says of the chain; None if its hash does not fit it."""
    found = _SEALED.fullmatch(line)
    if found is None:
        return None
    digest = found[4].decode()
    if sha256(found[1]).hexdigest() != digest:
        return None
    return ReadLine(Link(int(found[2]), digest), found[3].decode())

"""Doubt: a replica that has lost a record to damage does not speak for that key at once again.

Its acknowledgement said that it would show what it held. What takes the place of a damaged
record, a write or another owner's copy, may be older or know less. If the replica answered
reads with it, two of three could agree that an acknowledged write never was; and if it wrote
on it, its new dot would cover those it has forgotten, and a merge drop what others hold of them.

    found damaged   its token is in doubt, and this is noted before anything takes its place
    in doubt        it takes writes in, compares and repairs; it answers no read of the token, and
                    coordinates only on what enough other owners hold
    compared        with every other owner, so that it has all that any of them has: the doubt ends

Owners that are in doubt at the same time do not wait for each other: each is given what the
other has. This is `recovery.py` for one key, of which nothing is visible but the token:

    b"u"  token   ->   b""
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.model.errors import StorageError
from kvorum.model.keys import token_range
from kvorum.storage.store import KeyRange, Store

DOUBTS_MAX: Final = 10_000
"""So many are remembered, as of damages. Where more is lost, the disk is, and not a record."""

START: Final = b"u"
END: Final = b"v"


def _ignore(_arg: object, _error: StorageError | None) -> None:
    """The store reports its failure to the node."""


class Doubts:
    """Tokens, each with a number that changes when it is lost again."""

    __slots__ = ("_is_shared", "_last", "_store", "tokens")

    def __init__(self, store: Store, is_shared: Callable[[bytes], bool]) -> None:
        """`is_shared` says of a token whether there are others who know what is held there."""
        self._store = store
        self._is_shared = is_shared
        self._last = 0
        notes = store.scan(START, END, DOUBTS_MAX)
        # Looked at with each read, and hardly ever anything but empty.
        self.tokens = {note[1:]: self._last for note, _ in notes}

    def cover(self, key: bytes) -> bool:
        """True if what is held at the storage key `key` is in doubt."""
        return bool(self.tokens) and key[1:9] in self.tokens

    def ranges(self, start: bytes, end: bytes) -> list[KeyRange]:
        """Where in start <= key < end what is held is in doubt."""
        each = map(token_range, sorted(self.tokens))
        return [(first, last) for first, last in each if first < end and start < last]

    def is_shared(self, key: bytes) -> bool:
        """True if others may know what was held at `key`."""
        return self._is_shared(key[1:9])

    def begin(self, key: bytes) -> None:
        """What is stored at `key` is lost, unless that is known."""
        if not self.cover(key):
            self.begin_again(key)

    def begin_again(self, key: bytes) -> None:
        """It is lost, and comparisons that have begun do not count."""
        token = key[1:9]
        if token not in self.tokens:
            if len(self.tokens) >= DOUBTS_MAX or not self._is_shared(token):
                return
            self._store.put(START + token, b"", _ignore, None)
        self._last += 1
        self.tokens[token] = self._last

    def end(self, token: bytes, number: int) -> None:
        """All is compared that was lost when the token had this number."""
        if self.tokens.get(token) == number:
            del self.tokens[token]
            self._store.delete(START + token, _ignore, None)

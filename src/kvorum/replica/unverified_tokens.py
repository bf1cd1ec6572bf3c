"""Unverified tokens: those whose records this replica has lost to damage. It answers no read of
them.

A replica's acknowledgement means that it will show what it has stored. What takes the place of a
damaged record, a write or another owner's copy, may be older or know less. If the replica answered
reads with it, two of three could agree that an acknowledged write never was; and if it made a write
on it, the new dot would cover those it has forgotten, and a merge drop what others hold of them.

    found damaged   the token becomes unverified, and this is noted durably before anything takes
                    the record's place
    unverified      the replica takes writes, compares and repairs; it answers no read of the token,
                    and coordinates only on what enough other owners hold
    compared        with every other owner, so that it has all that any of them has: the token is
                    verified, unless none of them can say what was there (`repair/shortfall.py`)

Owners of which the same token is unverified do not wait for each other: each is given what the
other has. This is `repair/recovery.py` for one key, of which nothing but the token is known. What a
recovery leaves open, as nobody can read what had been there, becomes unverified tokens:

    b"u"  first token  (last token, if it is another)   ->   since when, ms; 8 bytes

A key that is damaged on so many owners that no quorum can be read may be written anew, once all
owners have told what is left. A replica that takes that write answers for the key again, though not
for others with its token, which may still lie damaged in the same block of a file:

    b"v"  token  BLAKE2b of the storage key, 8 bytes   ->   b""
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from kvorum.model.errors import StorageError
from kvorum.model.keys import token_range
from kvorum.model.spans import TOKEN_BYTES, TokenSpan, of_token
from kvorum.storage.store import KeyRange, Store

UNVERIFIED_MAX: Final = 10_000
"""So many are remembered one by one. Beyond that a whole partition becomes unverified."""

START: Final = b"u"
END: Final = b"v"
_RENEWED: Final = b"v"
_RENEWED_END: Final = b"w"
_HASH_BYTES: Final = 8
_NOTES_MAX: Final = 1 << 20


def _ignore(_arg: object, _error: StorageError | None) -> None:
    """The store reports its failure to the node."""


class UnverifiedSpan:
    """One span of unverified tokens.

    `number` changes when another record is lost there. `since_ms`: wall clock. `waits_for`: the
    nodes with damaged records there, once it is known that no other owner can say what they were.
    """

    __slots__ = ("number", "since_ms", "waits_for")

    def __init__(self, number: int, since_ms: int) -> None:
        self.number = number
        self.since_ms = since_ms
        self.waits_for: tuple[int, ...] = ()


class UnverifiedTokens:
    """The unverified tokens of one replica, kept durably in its store."""

    __slots__ = (
        "_is_shared",
        "_last",
        "_partition_of",
        "_renewed",
        "_store",
        "_wall_ms",
        "_wide",
        "tokens",
    )

    def __init__(
        self,
        store: Store,
        is_shared: Callable[[bytes], bool],
        partition_of: Callable[[bytes], TokenSpan],
        wall_ms: Callable[[], int],
    ) -> None:
        """`is_shared` says of a token whether it has other owners than this node; `partition_of`
        returns the tokens of its partition; `wall_ms` the wall clock.
        """
        self._store = store
        self._is_shared = is_shared
        self._partition_of = partition_of
        self._wall_ms = wall_ms
        self._last = 0
        # Looked at with each read, and hardly ever anything but empty.
        self.tokens: dict[TokenSpan, UnverifiedSpan] = {}
        for note, since in store.scan(START, END, _NOTES_MAX):
            since_ms = int.from_bytes(since) if since else wall_ms()
            self.tokens[span_of(note)] = UnverifiedSpan(self._last, since_ms)
        self._renewed = {note[1:] for note, _ in store.scan(_RENEWED, _RENEWED_END, _NOTES_MAX)}
        self._wide = [span for span in self.tokens if span.first != span.last]

    def cover(self, key: bytes) -> bool:
        """True if the token of the storage key `key` is unverified, and the key was not written
        anew.
        """
        if not self.tokens or self._covering(key[1:9]) is None:
            return False
        return not self._renewed or _mark(key) not in self._renewed

    def renew(self, key: bytes) -> None:
        """All owners have lost what they had of `key`, and it is written anew: it can be read
        again.
        """
        if self.cover(key):
            mark = _mark(key)
            self._renewed.add(mark)
            self._store.put(_RENEWED + mark, b"", _ignore, None)

    def ranges(self, start: bytes, end: bytes) -> list[KeyRange]:
        """The ranges of storage keys in start <= key < end whose tokens are unverified."""
        each = (
            (token_range(span.first)[0], token_range(span.last)[1]) for span in sorted(self.tokens)
        )
        return [(first, last) for first, last in each if first < end and start < last]

    def _covering(self, token: bytes) -> UnverifiedSpan | None:
        found = self.tokens.get(of_token(token))
        if found is None:
            wide = next((span for span in self._wide if span.has(token)), None)
            found = None if wide is None else self.tokens[wide]
        return found

    def is_shared(self, key: bytes) -> bool:
        """True if `key` has other owners, which may know what was stored there."""
        return self._is_shared(key[1:9])

    def begin(self, key: bytes) -> None:
        """The record at `key` is damaged: its token becomes unverified, if it is not yet."""
        if not self.cover(key):
            self.begin_again(key)

    def begin_again(self, key: bytes) -> None:
        """As `begin`; comparisons of the token that have begun no longer count."""
        token = key[1:9]
        self._forget_renewed(of_token(token))
        found = self._covering(token)
        if found is not None:
            self._last += 1
            found.number = self._last
        elif self._is_shared(token):
            full = len(self.tokens) >= UNVERIFIED_MAX
            self.begin_span(self._partition_of(token) if full else of_token(token))

    def begin_span(self, span: TokenSpan) -> None:
        """These tokens, of one partition, become unverified."""
        if span in self.tokens:
            return
        self._last += 1
        added = self.tokens[span] = UnverifiedSpan(self._last, self._wall_ms())
        if span.first != span.last:
            self._wide.append(span)
        self._store.put(_note(span), added.since_ms.to_bytes(8), _ignore, None)

    def wait(self, span: TokenSpan, nodes: tuple[int, ...]) -> None:
        """No owner can say what was stored at these tokens, and each of `nodes` has damaged records
        there: they stay unverified.
        """
        self.begin_span(span)
        self.tokens[span].waits_for = nodes

    def end(self, span: TokenSpan, number: int) -> None:
        """`span` was compared with all owners while it had this `number`: it is verified, unless
        another record was lost there meanwhile.
        """
        found = self.tokens.get(span)
        if found is not None and found.number == number:
            del self.tokens[span]
            if span in self._wide:
                self._wide.remove(span)
            self._store.delete(_note(span), _ignore, None)
            self._forget_renewed(span)

    def _forget_renewed(self, span: TokenSpan) -> None:
        for mark in [mark for mark in self._renewed if span.has(mark[:TOKEN_BYTES])]:
            self._renewed.remove(mark)
            self._store.delete(_RENEWED + mark, _ignore, None)


def _mark(key: bytes) -> bytes:
    return key[1:9] + blake2b(key, digest_size=_HASH_BYTES).digest()


def _note(span: TokenSpan) -> bytes:
    return START + span.first + (span.last if span.last != span.first else b"")


def span_of(note: bytes) -> TokenSpan:
    """The tokens that the note with this storage key is about."""
    first, last = note[1 : 1 + TOKEN_BYTES], note[1 + TOKEN_BYTES :]
    return TokenSpan(first, last or first)

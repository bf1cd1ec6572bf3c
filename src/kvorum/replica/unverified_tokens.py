"""Unverified tokens: where damage took records from this replica, so that it may answer no read.

Its acknowledgement said that it would show what it held. What takes the place of a damaged
record, a write or another owner's copy, may be older or know less. If the replica answered
reads with it, two of three could agree that an acknowledged write never was; and if it wrote
on it, its new dot would cover those it has forgotten, and a merge drop what others hold of them.

    found damaged   its token is in doubt, and this is noted before anything takes its place
    in doubt        it takes writes in, compares and repairs; it answers no read of the token, and
                    coordinates only on what enough other owners hold
    compared        with every other owner, so that it has all that any of them has: the doubt ends,
                    unless none of them can say what was there (`shortfall.py`)

Owners that are in doubt at the same time do not wait for each other: each is given what the
other has. This is `recovery.py` for one key, of which nothing is visible but the token; and what a
recovery leaves open, as nobody can read what had been there, becomes a doubt about those tokens:

    b"u"  first token  (last token, if it is another)   ->   since when, ms; 8 bytes

A key that is damaged on so many owners that no quorum can be read may be written anew, once all
owners have said what is left. Who takes that write speaks for the key again, though not for others
with its token, which may still lie damaged in the same block of a file:

    b"v"  token  BLAKE2b of the storage key, 8 bytes   ->   b""
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from kvorum.model.errors import StorageError
from kvorum.model.keys import token_range
from kvorum.model.prefixes import RENEWED, UNVERIFIED, end_of
from kvorum.model.spans import TOKEN_BYTES, TokenSpan, of_token
from kvorum.storage.store import KeyRange, Store

UNVERIFIED_MAX: Final = 10_000
"""So many are remembered one by one. Beyond that it is a whole partition that is in doubt."""

START: Final = UNVERIFIED
END: Final = end_of(UNVERIFIED)
_HASH_BYTES: Final = 8
_NOTES_MAX: Final = 1 << 20


def _ignore(_arg: object, _error: StorageError | None) -> None:
    """The store reports its failure to the node."""


class UnverifiedSpan:
    """One span of tokens. `number` changes when something is lost there again; `waits_for` are
    the nodes that have something unread there, once it is known that nobody else can give it.
    """

    __slots__ = ("number", "since_ms", "waits_for")

    def __init__(self, number: int, since_ms: int) -> None:
        self.number = number
        self.since_ms = since_ms
        self.waits_for: tuple[int, ...] = ()


class UnverifiedTokens:
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
        """`is_shared` says of a token whether there are others who know what is held there;
        `partition_of` which tokens are in the same partition.
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
        self._renewed = {note[1:] for note, _ in store.scan(RENEWED, end_of(RENEWED), _NOTES_MAX)}
        self._wide = [span for span in self.tokens if span.first != span.last]

    def cover(self, key: bytes) -> bool:
        """True if what is held at the storage key `key` is in doubt."""
        if not self.tokens or self._covering(key[1:9]) is None:
            return False
        return not self._renewed or _mark(key) not in self._renewed

    def renew(self, key: bytes) -> None:
        """What all owners had of `key` is lost, and it has been written anew."""
        if self.cover(key):
            mark = _mark(key)
            self._renewed.add(mark)
            self._store.put(RENEWED + mark, b"", _ignore, None)

    def ranges(self, start: bytes, end: bytes) -> list[KeyRange]:
        """Where in start <= key < end what is held is in doubt."""
        each = (
            (token_range(span.first)[0], token_range(span.last)[1]) for span in sorted(self.tokens)
        )
        return [(first, last) for first, last in each if first < end and start < last]

    def _covering(self, token: bytes) -> UnverifiedSpan | None:
        doubt = self.tokens.get(of_token(token))
        if doubt is None:
            wide = next((span for span in self._wide if span.has(token)), None)
            doubt = None if wide is None else self.tokens[wide]
        return doubt

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
        self._forget_renewed(of_token(token))
        doubt = self._covering(token)
        if doubt is not None:
            self._last += 1
            doubt.number = self._last
        elif self._is_shared(token):
            full = len(self.tokens) >= UNVERIFIED_MAX
            self.begin_span(self._partition_of(token) if full else of_token(token))

    def begin_span(self, span: TokenSpan) -> None:
        """What is stored at these tokens, of one partition, cannot be vouched for."""
        if span in self.tokens:
            return
        self._last += 1
        doubt = self.tokens[span] = UnverifiedSpan(self._last, self._wall_ms())
        if span.first != span.last:
            self._wide.append(span)
        self._store.put(_note(span), doubt.since_ms.to_bytes(8), _ignore, None)

    def wait(self, span: TokenSpan, nodes: tuple[int, ...]) -> None:
        """Nobody can say what was there, and each of `nodes` has something unread."""
        self.begin_span(span)
        self.tokens[span].waits_for = nodes

    def end(self, span: TokenSpan, number: int) -> None:
        """All is compared that was lost when its doubt had this number."""
        doubt = self.tokens.get(span)
        if doubt is not None and doubt.number == number:
            del self.tokens[span]
            if span in self._wide:
                self._wide.remove(span)
            self._store.delete(_note(span), _ignore, None)
            self._forget_renewed(span)

    def _forget_renewed(self, span: TokenSpan) -> None:
        for mark in [mark for mark in self._renewed if span.has(mark[:TOKEN_BYTES])]:
            self._renewed.remove(mark)
            self._store.delete(RENEWED + mark, _ignore, None)


def _mark(key: bytes) -> bytes:
    return key[1:9] + blake2b(key, digest_size=_HASH_BYTES).digest()


def _note(span: TokenSpan) -> bytes:
    return START + span.first + (span.last if span.last != span.first else b"")


def span_of(note: bytes) -> TokenSpan:
    first, last = note[1 : 1 + TOKEN_BYTES], note[1 + TOKEN_BYTES :]
    return TokenSpan(first, last or first)

"""Spans of tokens: ranges of the first 8 bytes of tokens, both ends included.

A list of spans stands for the set of all tokens in any of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from kvorum.model.errors import ProtocolError

TOKEN_BYTES: Final = 8
RECORDS: Final = (b"d", b"e")
"""Between these are the storage keys of all records."""


class TokenSpan(NamedTuple):
    """first <= token <= last."""

    first: bytes
    last: bytes

    def has(self, token: bytes) -> bool:
        """True if `token` is in the span."""
        return self.first <= token <= self.last


ALL_TOKENS: Final = TokenSpan(bytes(TOKEN_BYTES), b"\xff" * TOKEN_BYTES)


def of_token(token: bytes) -> TokenSpan:
    """The span of that one token."""
    return TokenSpan(token, token)


def of_partition(partition: int, partition_bits: int) -> TokenSpan:
    """All tokens of a partition."""
    shift = 64 - partition_bits
    first = partition << shift
    return TokenSpan(first.to_bytes(TOKEN_BYTES), (first + (1 << shift) - 1).to_bytes(TOKEN_BYTES))


def of_range(start: bytes, end: bytes) -> TokenSpan:
    """The tokens of the records in start <= storage key < end."""
    first, last = ALL_TOKENS
    if start > RECORDS[0]:
        first = start[1 : 1 + TOKEN_BYTES].ljust(TOKEN_BYTES, b"\0")
    if end < RECORDS[1]:
        last = end[1 : 1 + TOKEN_BYTES].ljust(TOKEN_BYTES, b"\0")
        if len(end) <= 1 + TOKEN_BYTES:
            last = (int.from_bytes(last) - 1).to_bytes(TOKEN_BYTES)
    return TokenSpan(first, last)


def intersection(some: Iterable[TokenSpan], others: Iterable[TokenSpan]) -> list[TokenSpan]:
    """The tokens that are in both sets."""
    others = list(others)
    return [
        TokenSpan(max(a.first, b.first), min(a.last, b.last))
        for a in some
        for b in others
        if a.first <= b.last and b.first <= a.last
    ]


def union(spans: Iterable[TokenSpan]) -> list[TokenSpan]:
    """The same tokens, in spans that do not overlap and ascend."""
    joined: list[TokenSpan] = []
    for span in sorted(spans):
        if joined and span.first <= joined[-1].last:
            joined[-1] = TokenSpan(joined[-1].first, max(joined[-1].last, span.last))
        else:
            joined.append(span)
    return joined


def check_spans(spans: Iterable[tuple[bytes, bytes]]) -> list[TokenSpan]:
    """`spans`, which another node has sent, checked. Raises ProtocolError."""
    checked = [TokenSpan(*span) for span in spans]
    for first, last in checked:
        if not (len(first) == len(last) == TOKEN_BYTES and first <= last):
            raise ProtocolError(
                f"A span of tokens has a first and a last one of {TOKEN_BYTES} bytes each; "
                f"this one is from {first[:9]!r} to {last[:9]!r}."
            )
    return checked

"""Reads of ranges over the journal's segments and the store below, as if all had been flushed."""

from __future__ import annotations

from typing import Final

from kvorum.journal.segment import Segment
from kvorum.model.keys import token_range
from kvorum.storage.store import FlushTarget, KeyRange

_OF_A_TOKEN_MAX: Final = 1000


def merged_page(
    below: FlushTarget, segments: list[Segment], start: bytes, end: bytes, limit: int
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Pairs from `start` on, and the bound up to which these are all; one step of a merge.

    `segments` stand above the store `below`, the youngest last.
    """
    pairs = below.scan(start, end, limit)
    if len(pairs) == limit:
        end = pairs[-1][0] + b"\0"
    pages = []
    for segment in segments:
        changes = segment.memtable.page(start, end, limit)
        if len(changes) == limit:
            end = changes[-1][0] + b"\0"
        if changes:
            pages.append(changes)
    if not pages:
        return pairs, end
    merged: dict[bytes, bytes | None] = dict(pairs)
    for changes in pages:
        merged.update(changes)
    found = sorted(key for key in merged if key < end)
    return [(key, value) for key in found if (value := merged[key]) is not None], end


def unreadable(
    below: FlushTarget, segments: list[Segment], start: bytes, end: bytes
) -> list[KeyRange]:
    """Where pairs cannot be read `below` that no segment takes the place of."""
    found = below.unreadable(start, end)
    replaced = {
        key
        for first, last in found
        if (first, last) == token_range(first[1:])
        for segment in segments
        for key, _ in segment.memtable.page(first, last, _OF_A_TOKEN_MAX)
    }
    return below.unreadable(start, end, replaced) if replaced else found

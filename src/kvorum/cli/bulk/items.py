"""What a source of bulk work gives: entries or records to store, and what is neither."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from kvorum.client.record_requests import PortableRecord
from kvorum.client.requests import DEFAULT_LIFETIME, Lifetime

Value = msgspec.Raw | bytes
"""As the client takes it: JSON text, or bytes."""


class Place(NamedTuple):
    """Where reading goes on: behind `line` lines of a file, up to the byte `offset`; or behind
    `line` records of snapshots, up to the token `offset`."""

    offset: int = 0
    line: int = 0


START: Final = Place()


class Timed(NamedTuple):
    """A value and how long it lives."""

    value: Value
    lifetime: Lifetime = DEFAULT_LIFETIME


class Item(NamedTuple):
    """An entry to store, which begins in `line`; reading goes on at `end`. `siblings`, if there are
    any, include `value`, latest first. A `namespace` of None is the client's own."""

    line: int
    end: Place
    key: str
    value: Value
    siblings: tuple[Timed, ...] = ()
    lifetime: Lifetime = DEFAULT_LIFETIME
    namespace: str | None = None


class RecordItem(NamedTuple):
    """A record to merge in as it is; reading goes on at `end`."""

    end: Place
    record: PortableRecord


class Reject(NamedTuple):
    """What can not be stored, from `line` to `end`."""

    line: int
    end: Place
    reason: str

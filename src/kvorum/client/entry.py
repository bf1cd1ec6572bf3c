"""What the client gives back of a key: its value, its version, and its causal history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple

from kvorum.client.representation import representation
from kvorum.client.serializers import Serializer
from kvorum.client.values import decode_value

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ClockEntry(NamedTuple):
    """One entry of a vector clock: which node, its how-manieth write, and when (ms)."""

    node: str
    counter: int
    timestamp: int


@dataclass(frozen=True)
class Sibling:
    """One of several concurrent values of a key."""

    json: bytes
    """The value exactly as it is stored; base64 text where `binary`."""
    binary: bool = field(default=False, kw_only=True)
    clock: tuple[ClockEntry, ...] = field(default=(), kw_only=True)
    hash: str | None = field(default=None, kw_only=True)
    expires_at: int | None = field(default=None, kw_only=True)
    serializer: Serializer | None = field(default=None, kw_only=True, repr=False, compare=False)

    def __repr__(self) -> str:
        return representation(self)

    @cached_property
    def value(self) -> Any:
        """As Python holds it. Raises InvalidValue if Python cannot."""
        return _decoded(self.json, self.binary, self.serializer)


@dataclass(frozen=True)
class Entry:
    """A key and what it holds.

    `version` covers all siblings: writing back with it resolves them. `value` is the latest
    of them by timestamp. `created` is True where a write found no live value before it.
    `strict` is False where a sloppy quorum was met with the help of `hints` nodes that are no
    owners of the key: then what R + W > N promises does not hold. `expires_at`: when `value`
    goes, in ms since 1970; None if it does not; `expires` is the same as a datetime. `unread` is
    True for a key that was deleted though its value could not be read: it is damaged on all owners,
    or on owners that are away.
    """

    key: str
    json: bytes
    """The value exactly as it is stored; base64 text where `binary`."""
    binary: bool = field(default=False, kw_only=True)
    version: str | None = field(default=None, kw_only=True)
    clock: tuple[ClockEntry, ...] = field(default=(), kw_only=True)
    hash: str | None = field(default=None, kw_only=True)
    siblings: tuple[Sibling, ...] = field(default=(), kw_only=True)
    created: bool = field(default=False, kw_only=True)
    strict: bool = field(default=True, kw_only=True)
    hints: int = field(default=0, kw_only=True)
    unread: bool = field(default=False, kw_only=True)
    expires_at: int | None = field(default=None, kw_only=True)
    serializer: Serializer | None = field(default=None, kw_only=True, repr=False, compare=False)

    def __repr__(self) -> str:
        return representation(self)

    @cached_property
    def value(self) -> Any:
        """As Python holds it. Raises InvalidValue if Python cannot."""
        return _decoded(self.json, self.binary, self.serializer)

    @property
    def expires(self) -> datetime | None:
        """When `value` goes, in UTC; None if it does not."""
        if self.expires_at is None:
            return None
        return _EPOCH + timedelta(milliseconds=self.expires_at)

    def read_by(self, serializer: Serializer | None) -> Entry:
        """The same entry, whose values are read by `serializer`."""
        if serializer is None:
            return self
        siblings = tuple(replace(sibling, serializer=serializer) for sibling in self.siblings)
        return replace(self, siblings=siblings, serializer=serializer)


def _decoded(json: bytes, binary: bool, serializer: Serializer | None) -> Any:
    value = decode_value(json, binary)
    return serializer.read(value) if binary and serializer is not None else value

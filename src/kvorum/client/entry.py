"""What the client gives back of a key: its value, its version, and its causal history."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from kvorum.client.values import decode_value
from kvorum.model.errors import InvalidValue


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
    content_type: str | None = field(default=None, kw_only=True)
    """That of bytes which were stored with one."""

    @cached_property
    def value(self) -> Any:
        """As Python holds it. Raises InvalidValue if Python cannot."""
        return decode_value(self.json, self.binary, self.content_type)


@dataclass(frozen=True)
class Entry:
    """A key and what it holds.

    `version` covers all siblings: writing back with it resolves them. `value` is the latest
    of them by timestamp. `created` is True where a write found no live value before it.
    `strict` is False where a sloppy quorum was met with the help of `hints` nodes that are no
    owners of the key: then what R + W > N promises does not hold. `expires_at`: when `value`
    goes, in ms since 1970; None if it does not. `unread` is True for a key that was deleted though
    its value could not be read: it is damaged on all owners, or on owners that are away.
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
    content_type: str | None = field(default=None, kw_only=True)
    """That of bytes which were stored with one."""

    @cached_property
    def value(self) -> Any:
        """As Python holds it. Raises InvalidValue if Python cannot."""
        return decode_value(self.json, self.binary, self.content_type)


def value_or_error(entry: Entry) -> Any:
    """The value of `entry`, or the InvalidValue that names its key if Python cannot hold it."""
    try:
        return entry.value
    except InvalidValue as error:
        return InvalidValue(f"The value of {entry.key!r} cannot be read: {error.message}")

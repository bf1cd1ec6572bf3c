"""What the client gives back of a key: its value, its version, and its causal history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

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
    content_type: str | None = field(default=None, kw_only=True)
    """That of bytes which were stored with one."""

    def __repr__(self) -> str:
        return representation(self)

    @cached_property
    def value(self) -> Any:
        """As Python holds it. Raises InvalidValue if Python cannot."""
        return _decoded(self)


def _nothing() -> None:
    """The default of fields that may have no value."""


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

    An entry of an embedded store works these out when they are first asked for (`deferred`).
    """

    # Defaults come from factories, so that the class has no attributes of these names: what an
    # instance does not have is asked of `__getattr__`.
    key: str
    json: bytes
    """The value exactly as it is stored; base64 text where `binary`."""
    binary: bool = field(default_factory=bool, kw_only=True)
    version: str | None = field(default_factory=_nothing, kw_only=True)
    clock: tuple[ClockEntry, ...] = field(default_factory=tuple, kw_only=True)
    hash: str | None = field(default_factory=_nothing, kw_only=True)
    siblings: tuple[Sibling, ...] = field(default_factory=tuple, kw_only=True)
    created: bool = field(default=False, kw_only=True)
    strict: bool = field(default=True, kw_only=True)
    hints: int = field(default=0, kw_only=True)
    unread: bool = field(default=False, kw_only=True)
    serializer: Serializer | None = field(default=None, kw_only=True, repr=False, compare=False)
    expires_at: int | None = field(default_factory=_nothing, kw_only=True)

    content_type: str | None = field(default_factory=_nothing, kw_only=True)
    """That of bytes which were stored with one."""

    @classmethod
    def deferred(cls, key: str, created: bool, work_out: Callable[[], Mapping[str, Any]]) -> Self:
        """An entry whose other fields are those that `work_out` returns, by name; it is called when
        the first of them is asked for."""
        entry = object.__new__(cls)
        entry.__dict__.update(key=key, created=created, _work_out=work_out)
        return entry

    if not TYPE_CHECKING:  # Else any attribute would be taken for one that an entry has.

        def __getattr__(self, name: str) -> Any:
            fields = self.__dict__
            work_out = fields.get("_work_out")
            if work_out is not None and name in self.__dataclass_fields__:
                fields.update(work_out())
                return fields[name]
            raise AttributeError(f"An {type(self).__name__} has no attribute {name!r}.")

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: all fields, worked out."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __repr__(self) -> str:
        return representation(self)

    @cached_property
    def value(self) -> Any:
        """As Python holds it. Raises InvalidValue if Python cannot."""
        return _decoded(self)

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


def _decoded(stored: Sibling | Entry) -> Any:
    """Bytes that have a content type are returned as they are, whatever the serializer."""
    value = decode_value(stored.json, stored.binary, stored.content_type)
    if stored.serializer is None or not stored.binary or stored.content_type is not None:
        return value
    return stored.serializer.read(value)

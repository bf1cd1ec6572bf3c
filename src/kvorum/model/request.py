"""What a client can ask of a coordinator, and what it is answered.

These values cross links (a node forwards a write to the key's coordinator), so they are
MessagePack arrays with an integer tag in front. `Failure` is an error on its way.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from kvorum.model.errors import KvorumError, Outcome, from_code
from kvorum.model.record import Context, Record

ANY: Final = 0
ABSENT: Final = 1
PRESENT: Final = 2
EXACT: Final = 3
"""Preconditions: none; no live version; some live version; exactly the versions in `seen`."""


class Get(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """Read `key`. `r` and `timeout_ms` of 0 and an empty `quorum` are the namespace's defaults."""

    namespace: str
    key: str
    r: int = 0
    timeout_ms: int = 0
    quorum: Literal["", "strict", "sloppy"] = ""


class Put(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """Store `value` (kind JSON or BINARY). `seen` is what it replaces; None is a blind write.

    `ttl`: seconds to live; 0 is for ever, None the namespace's default. `expires`: the moment
    itself, in ms of wall clock, in place of `ttl`; 0 is none.
    """

    namespace: str
    key: str
    kind: int
    value: bytes
    seen: Context | None = None
    expect: int = ANY
    w: int = 0
    timeout_ms: int = 0
    quorum: Literal["", "strict", "sloppy"] = ""
    ttl: int | None = None
    expires: int = 0


class Delete(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """Remove what `seen` covers, or all there is."""

    namespace: str
    key: str
    seen: Context | None = None
    expect: int = ANY
    w: int = 0
    timeout_ms: int = 0
    quorum: Literal["", "strict", "sloppy"] = ""


class Touch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    """Give what lives of `key`, and `seen` covers, another lifetime: `ttl` and `expires` of Put."""

    namespace: str
    key: str
    ttl: int | None = None
    expires: int = 0
    seen: Context | None = None
    expect: int = ANY
    w: int = 0
    timeout_ms: int = 0
    quorum: Literal["", "strict", "sloppy"] = ""


Change = Put | Delete | Touch
Request = Get | Change


class Answer(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    """Get: the merged record. Put and Touch: the record after. Delete: the record before; where
    that could not be read, the tombstone.

    Versions that have expired are left out. `created` is true where the key had no live version
    before. `hinted`: how many of the replicas that were counted are no owners of the key but
    stand in for one.
    """

    record: Record
    created: bool = False
    hinted: int = 0


class Failure(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    code: str
    message: str
    outcome: Outcome
    details: dict[str, Any]

    @classmethod
    def of(cls, error: KvorumError) -> Failure:
        return cls(error.code, error.message, error.outcome, error.details)

    def error(self) -> KvorumError:
        return from_code(self.code, self.message, self.outcome, self.details)


Result = Answer | Failure


def tell_hinted(error: KvorumError, hinted: int) -> None:
    """Have `error`, about what replicas were found to hold, say how many of them stand in."""
    if hinted:
        error.details.update(strict=False, hints=hinted)


class Unreadable(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that a listing has to leave out, as too few replicas can speak for it.

    `nodes`: those that cannot. `key`: where another replica tells it, else `token`, the first 16
    hex digits of the place of what is damaged, which may be of another namespace; up to
    `last_token`, if it is more than one record that may be.
    """

    partition: int
    nodes: list[str]
    key: str | None = None
    token: str | None = None
    last_token: str | None = None


class Listing(msgspec.Struct, frozen=True):
    """A page of live entries in storage order; an empty cursor means there are no more."""

    entries: list[tuple[str, Record]]
    cursor: bytes
    unreadable: list[Unreadable] = []

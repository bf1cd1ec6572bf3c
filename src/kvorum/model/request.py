"""What a client can ask of a coordinator, and what it is answered.

These values cross links (a node forwards a write to the key's coordinator), so they are
MessagePack arrays with an integer tag in front. `Failure` is an error on its way.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from kvorum.model.errors import KvorumError, Outcome, RequestError, from_code
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
    """Remove the versions that `seen` covers; all versions if it is None."""

    namespace: str
    key: str
    seen: Context | None = None
    expect: int = ANY
    w: int = 0
    timeout_ms: int = 0
    quorum: Literal["", "strict", "sloppy"] = ""


class Touch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    """Give the live versions of `key` that `seen` covers another lifetime, as in Put."""

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
    """A result. Get: the merged record. Put and Touch: the record after the change. Delete: the
    record before it; where that could not be read, the tombstone.

    Versions that have expired are left out. `created` is true where the key had no live version
    before. `hinted`: how many of the replicas that were counted are no owners of the key but
    stand in for one.
    """

    record: Record
    created: bool = False
    hinted: int = 0


class Failure(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """A KvorumError as a value."""

    code: str
    message: str
    outcome: Outcome
    details: dict[str, Any]

    @classmethod
    def of(cls, error: KvorumError) -> Failure:
        """`error` as a value."""
        return cls(error.code, error.message, error.outcome, error.details)

    def error(self) -> KvorumError:
        """The error, to be raised."""
        return from_code(self.code, self.message, self.outcome, self.details)


Result = Answer | Failure


def beyond_replicas(what: str, needed: int, namespace: str, replicas: int) -> RequestError:
    """The error for a quorum (`what`: r or w) that asks for more replicas than a namespace has."""
    return RequestError(
        f"{what} is {needed}, and namespace {namespace!r} has {replicas} replicas. Choose 1 to "
        f"{replicas}.",
        wanted=f"1..{replicas}",
        got=needed,
    )


def tell_hinted(error: KvorumError, hinted: int) -> None:
    """Add to `error`, about the records that replicas have, how many of these nodes stand in."""
    if hinted:
        error.details.update(strict=False, hints=hinted)


class Unreadable(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record that a listing leaves out, because too few replicas can read it.

    `nodes`: those that cannot. `key`: its key, where another replica knows it. Else `token`: the
    first 16 hex digits of the token of the damaged record, which may be of another namespace; up to
    `last_token` where several may be damaged.
    """

    partition: int
    nodes: list[str]
    key: str | None = None
    token: str | None = None
    last_token: str | None = None


Listed = Literal["entries", "keys", "count"]
"""What a listing gives of the entries: all of them, their keys, or only how many there are."""


class Selection(msgspec.Struct, frozen=True):
    """The entries of `namespace` that a listing is about, and what it gives of them.

    `prefix`: what their keys begin with. They come in the order of their tokens; if the prefix
    contains a whole hash tag and the namespace has such, in the order of their keys. `limit`: at
    most so many a page; for a count it has no meaning. A listing goes on behind `cursor`, of its
    last page, or behind the key `start_after`; both empty begin it.
    """

    namespace: str
    prefix: str = ""
    give: Listed = "entries"
    limit: int = 100
    cursor: bytes = b""
    start_after: str = ""


class Listing(msgspec.Struct, frozen=True):
    """A page of a listing; an empty cursor means there are no more. `entries`, `keys` or `count`:
    what the selection asked for.
    """

    cursor: bytes
    unreadable: list[Unreadable] = []
    entries: list[tuple[str, Record]] = []
    keys: list[str] = []
    count: int = 0

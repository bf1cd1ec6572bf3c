"""The rules of `update`, which reads an entry, changes its value, and writes it with the version as
a condition: optimistic concurrency control.

    no value            the function gets the default; the write expects that there is none
    one value           the function gets it; the write expects the version that was read
    several values      `merge` makes one of them first; without it, SiblingsFound is raised
    write refused       all of it again, after a random pause; a few times
    outcome unknown     the error is raised: a second write could apply the function twice

What is written lives as long as what it replaces, unless the caller says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from kvorum.client.backoff import Backoff
from kvorum.client.conflicts import SiblingsFound, values_of_siblings
from kvorum.client.entry import Entry
from kvorum.client.lifetime import Moment, Ttl, WrongType
from kvorum.model.errors import NotFound, PreconditionFailed

ATTEMPTS: Final = 20


class Missing:
    """The type of MISSING, which stands for an argument that was not given."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Condition(TypedDict, total=False):
    """What a write says beside the value: what it expects, and how long the entry is to live."""

    if_version: str | None
    if_absent: bool
    ttl: Ttl | None
    expires_at: Moment | None


@dataclass(frozen=True, slots=True)
class Change:
    """How a value follows from the one before it."""

    key: str
    merge: Callable[[list[Any]], Any] | None
    default: Any

    def before(self, entry: Entry | None) -> Any:
        """The value to change. Raises NotFound, SiblingsFound, and what `merge` raises."""
        if entry is None:
            if self.default is MISSING:
                raise NotFound(
                    f"No such key: {self.key!r}. Give default= to have the function "
                    "begin with that."
                )
            return self.default
        if not entry.siblings:
            return entry.value
        if self.merge is None:
            raise SiblingsFound(
                entry, "Give merge=, a function that makes one value of the list of them."
            )
        return self.merge(values_of_siblings(entry))


def condition(entry: Entry | None, ttl: Ttl | None) -> Condition:
    """What a write expects that follows a read of `entry`, and the lifetime it gives."""
    if entry is None:
        return Condition(if_absent=True, ttl=ttl)
    if ttl is not None:
        return Condition(if_version=entry.version, ttl=ttl)
    expires_at = _latest_expiry(entry)
    if expires_at is None:
        return Condition(if_version=entry.version, ttl=0)
    return Condition(if_version=entry.version, expires_at=expires_at)


def pauses(attempts: int) -> Backoff:
    """How long to wait before each repeat. Raises WrongType."""
    if not isinstance(attempts, int) or attempts < 1:
        raise WrongType(f"attempts is {attempts!r}. Give a whole number of 1 or more.")
    return Backoff(first_s=0.005, cap_s=0.5, pauses=attempts - 1)


def gave_up(key: str, last: PreconditionFailed) -> PreconditionFailed:
    """The error after the last attempt."""
    return PreconditionFailed(
        f"The key {key!r} was changed by others during each attempt to change it, so nothing was "
        "written. Try again later, when fewer write it.",
        **{name: value for name, value in last.details.items() if name != "advice"},
    )


def _latest_expiry(entry: Entry) -> int | None:
    """When the last of its values goes; None if one does not."""
    moments = [sibling.expires_at for sibling in entry.siblings] or [entry.expires_at]
    known = [moment for moment in moments if moment is not None]
    return max(known) if len(known) == len(moments) else None

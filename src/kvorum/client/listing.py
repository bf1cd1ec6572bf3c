"""A page of a listing, and what a listing could not read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from kvorum.client.entry import Entry
from kvorum.client.lifetime import WrongType
from kvorum.model.errors import CorruptRecord
from kvorum.model.request import Unreadable

_SHOWN: Final = 3


class Page(NamedTuple):
    """A page of a listing. `cursor`: where the next one begins, None after the last. `unreadable`:
    what is left out because too few replicas can vouch for it. Of a listing of keys only, `entries`
    is empty, and `keys` has them."""

    entries: list[Entry]
    cursor: str | None
    unreadable: list[Unreadable]
    keys: Sequence[str] = ()

    def __repr__(self) -> str:
        what = f"{len(self.keys)} keys" if self.keys else f"{len(self.entries)} entries"
        missing = f", {len(self.unreadable)} unreadable" if self.unreadable else ""
        return f"<Page of {what}{missing}, cursor={self.cursor!r}>"


class CountPage(NamedTuple):
    """A part of a count: `counted` entries before `cursor`, which is None at the end."""

    counted: int
    cursor: str | None
    unreadable: list[Unreadable]


class ClearPage(NamedTuple):
    """A part of a deletion by prefix: `deleted` entries before `cursor`, None at the end.
    `unreadable`: damaged ones that are not deleted, since their keys are not certain."""

    deleted: int
    cursor: str | None
    unreadable: list[Unreadable]


def several(keys: Iterable[str]) -> list[str]:
    """The `keys` as a list. Raises WrongType for a single one, whose letters would be taken for
    keys."""
    if isinstance(keys, str | bytes):
        raise WrongType(
            f"Several keys are wanted, and {repr(keys)[:40]} is one. Give a list of keys."
        )
    return list(keys)


def check_prefix(prefix: str) -> None:
    """Raises WrongType if `prefix` is no text."""
    if not isinstance(prefix, str):
        raise WrongType(
            f"A prefix is a str, and not {type(prefix).__name__} ({repr(prefix)[:40]}). "
            "A namespace is given as namespace=."
        )


def check_limit(limit: int | None) -> None:
    """Raises WrongType if `limit` is no number of entries."""
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise WrongType(f"limit is {limit!r}. Give a whole number of 0 or more.")


def check_readable(unreadable: Sequence[Unreadable], done: str = "listed") -> None:
    """Raises CorruptRecord if there is any; all else has been `done`."""
    if unreadable:
        shown = "; ".join(described(one) for one in unreadable[:_SHOWN])
        more = f"; and {len(unreadable) - _SHOWN} more" if len(unreadable) > _SHOWN else ""
        raise CorruptRecord(
            f"All else is {done}, but {len(unreadable)} damaged records cannot be read: "
            f"{shown}{more}.",
            unreadable=documents(unreadable),
        )


def documents(unreadable: Sequence[Unreadable]) -> list[dict[str, Any]]:
    """As JSON has them."""
    found: list[dict[str, Any]] = msgspec.to_builtins(unreadable)
    return found


def described(one: Unreadable) -> str:
    """What it is and where, as people read it."""
    if one.key is not None:
        what = f"the key {one.key!r}"
    elif one.last_token is not None:
        what = f"records between the tokens {one.token} and {one.last_token}"
    else:
        what = f"a record of unknown key at the token {one.token}"
    return f"{what} (partition {one.partition}, unreadable on {', '.join(one.nodes)})"

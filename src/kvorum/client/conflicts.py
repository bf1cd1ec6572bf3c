"""Which value a read returns of a key that holds siblings, values written without knowing of
each other.

    "latest"    the latest by the writers' clocks, in silence; the default
    "raise"     none: SiblingsFound, with the entry
    a function  what it returns for the list of all the values, the latest first

Nothing is written back: the siblings stay until a write resolves them, such as `update`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from kvorum.client.entry import Entry
from kvorum.client.lifetime import WrongType
from kvorum.model.errors import ConfigError, InvalidValue, RequestError

OnConflict = Literal["latest", "raise"] | Callable[[list[Any]], Any]

LATEST: Final = "latest"
RAISE: Final = "raise"


class SiblingsFound(RequestError):
    """The key holds several values that were written without knowing of each other. `entry` is the
    entry with all of them."""

    code = "siblings_found"

    def __init__(self, entry: Entry, advice: str) -> None:
        super().__init__(
            f"The key {entry.key!r} holds {len(entry.siblings)} concurrent values. {advice}",
            siblings=len(entry.siblings),
        )
        self.entry = entry


def checked_on_conflict(given: OnConflict) -> OnConflict:
    """`given`, if it says what to do. Raises ConfigError or WrongType."""
    if isinstance(given, str):
        if given not in (LATEST, RAISE):
            raise ConfigError(
                f"on_conflict is {given!r}. Give 'latest', 'raise' or a function of the values."
            )
    elif not callable(given):
        raise WrongType(
            "on_conflict is 'latest', 'raise' or a function of the values, and not "
            f"{type(given).__name__} ({repr(given)[:40]})."
        )
    return given


def resolved(entry: Entry, on_conflict: OnConflict) -> Any:
    """The value of `entry`. Raises SiblingsFound, InvalidValue, and what a function raises."""
    if not entry.siblings or on_conflict == LATEST:
        return entry.value
    if callable(on_conflict):
        return on_conflict(values_of_siblings(entry))
    raise SiblingsFound(
        entry,
        "Decide with get_entry, whose siblings has them all, and write the decision with its "
        "version=; or use update with merge=.",
    )


def value_or_error(entry: Entry, on_conflict: OnConflict) -> Any:
    """The same, or the InvalidValue that names its key if Python cannot hold it."""
    try:
        return resolved(entry, on_conflict)
    except InvalidValue as error:
        return InvalidValue(f"The value of {entry.key!r} cannot be read: {error.message}")


def values_of_siblings(entry: Entry) -> list[Any]:
    """All the values of `entry`, the latest first. Raises InvalidValue."""
    return [sibling.value for sibling in entry.siblings] if entry.siblings else [entry.value]

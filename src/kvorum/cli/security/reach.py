"""On which nodes a change is in effect, as commands tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvorum.cli.output import note, print_result
from kvorum.documents.security import ChangedRole, ChangedUser, MadeToken, Reach

_IN_EFFECT: Final = "in effect"
_LATER: Final = "when it is back"


def print_reach(output: str, done: str, changed: Reach) -> None:
    """A table of the nodes under `done`, which says what was done; or JSON."""
    rows = [(node, _IN_EFFECT) for node in changed.known_by]
    rows += [(node, _LATER) for node in changed.not_yet]
    print_result(output, changed, done, ("node", "state"), rows)
    note_missing(output, changed)


def note_missing(output: str, changed: Reach | MadeToken | ChangedUser | ChangedRole) -> None:
    """A line on stderr that names the nodes that do not have the change yet, if there are any."""
    if changed.not_yet:
        nodes = list_of(changed.not_yet)
        those = "gets" if len(changed.not_yet) == 1 else "get"
        back = "it is" if len(changed.not_yet) == 1 else "they are"
        note(f"{nodes} {those} it when {back} back", as_json=output == "json")


def list_of(names: Sequence[str]) -> str:
    """The names in a sentence: `n1, n2 and n3`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last

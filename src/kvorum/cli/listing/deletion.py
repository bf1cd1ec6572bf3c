"""`kvorum delete --prefix`: deleting all entries whose keys begin with a prefix."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import click

from kvorum.cli.confirmation import confirm
from kvorum.cli.errors import NEXT_STEP, one_line
from kvorum.cli.listing.selected import (
    DELETED,
    Selected,
    Stretch,
    count_pages,
    delete_pages,
    pages,
)
from kvorum.cli.listing.unreadable import refuse_unreadable
from kvorum.cli.output import note, print_json
from kvorum.cli.progress import Bar, number_bar, progress_bar
from kvorum.client.synchronous import Client
from kvorum.model.errors import KvorumError
from kvorum.model.request import Unreadable

_SAMPLE: Final = 5


class Deletion(NamedTuple):
    """What came of it. `unreadable`: what is damaged and stays, since its key is not certain."""

    deleted: int
    unreadable: list[Unreadable]


def delete_selected(client: Client, entries: Selected, output: str, *, ask: bool) -> None:
    """Delete them and say how many; with `ask`, if that is confirmed. Raises PreconditionFailed
    if it is not, and Incomplete if some are damaged and stay."""
    as_json = output == "json"
    total = _confirmed(client, entries) if ask else None
    deleted, unreadable = delete_all(client, entries, total, as_json=as_json)
    if as_json:
        shown = {"namespace": entries.namespace_name, "prefix": entries.prefix}
        print_json({**shown, DELETED: deleted})
    else:
        click.echo(one_line(f"deleted {deleted:,} {entries.described}"))
    refuse_unreadable(unreadable, "deleted", as_json=as_json)


def delete_all(
    client: Client, entries: Selected, total: int | None = None, *, as_json: bool
) -> Deletion:
    """Delete them, and show how far it is. What ends it before its time says how many it has
    deleted. `total`: how many there may be."""
    deleted = 0
    unreadable: list[Unreadable] = []
    try:
        with _bar(total) as bar:
            for part in delete_pages(client, entries):
                deleted += part.deleted
                unreadable += part.unreadable
                bar.show(deleted, deleted)
    except KvorumError as error:
        if before := error.details[DELETED]:
            error.details[NEXT_STEP] = f"{_before(before)}; repeat the command for the others"
        raise
    except KeyboardInterrupt:
        note(_before(deleted), as_json)
        raise
    return Deletion(deleted, unreadable)


def _confirmed(client: Client, entries: Selected) -> int:
    """How many there are, once somebody has agreed to delete them. Nothing is asked about none."""
    total = sum(page.counted for page in count_pages(client, entries))
    if total:
        page = next(pages(client, entries, Stretch(limit=_SAMPLE), keys_only=True))
        keys = ", ".join(one_line(key) for key in page.keys)
        more = ", ..." if total > len(page.keys) else ""
        confirm(one_line(f"Delete {total:,} {entries.described}, for good: {keys}{more}?"))
    return total


def _bar(total: int | None) -> AbstractContextManager[Bar]:
    return number_bar("delete", total, "deleted") if total else progress_bar("delete", None)


def _before(deleted: int) -> str:
    return f"{deleted:,} entries were deleted before"

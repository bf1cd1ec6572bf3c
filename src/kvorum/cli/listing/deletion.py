"""`kvorum delete --prefix`: deleting all entries whose keys begin with a prefix."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

import click

from kvorum.cli.confirmation import confirm
from kvorum.cli.errors import NEXT_STEP, one_line
from kvorum.cli.listing.selected import (
    DELETED,
    Selected,
    Stretch,
    count_pages,
    delete_pages,
    key_pages,
)
from kvorum.cli.output import note, print_json
from kvorum.cli.progress import Bar, number_bar, progress_bar
from kvorum.client.synchronous import Client
from kvorum.model.errors import KvorumError

_SAMPLE: Final = 5


def delete_selected(client: Client, entries: Selected, output: str, *, ask: bool) -> None:
    """Delete them and say how many; with `ask`, if that is confirmed. Raises PreconditionFailed
    if it is not."""
    total = _confirmed(client, entries) if ask else None
    deleted = delete_all(client, entries, total, as_json=output == "json")
    if output == "json":
        shown = {"namespace": entries.namespace_name, "prefix": entries.prefix}
        print_json({**shown, DELETED: deleted})
    else:
        click.echo(one_line(f"deleted {deleted:,} {entries.described}"))


def delete_all(
    client: Client, entries: Selected, total: int | None = None, *, as_json: bool
) -> int:
    """Delete them, and show how far it is; returns how many they were. What ends it before its time
    says that as well. `total`: how many there may be."""
    deleted = 0
    try:
        with _bar(total) as bar:
            for part in delete_pages(client, entries):
                deleted += part
                bar.show(deleted, deleted)
    except KvorumError as error:
        if deleted:
            error.details[NEXT_STEP] = f"{_before(deleted)}; repeat the command for the others"
        raise
    except KeyboardInterrupt:
        note(_before(deleted), as_json)
        raise
    return deleted


def _confirmed(client: Client, entries: Selected) -> int:
    """How many there are, once somebody has agreed to delete them. Nothing is asked about none."""
    total = sum(page.count for page in count_pages(client, entries))
    if total:
        [page, *_] = key_pages(client, entries, Stretch(limit=_SAMPLE))
        keys = ", ".join(one_line(key) for key in page.keys)
        more = ", ..." if total > len(page.keys) else ""
        confirm(one_line(f"Delete {total:,} {entries.described}, for good: {keys}{more}?"))
    return total


def _bar(total: int | None) -> AbstractContextManager[Bar]:
    return number_bar("delete", total, "deleted") if total else progress_bar("delete", None)


def _before(deleted: int) -> str:
    return f"{deleted:,} entries were deleted before"

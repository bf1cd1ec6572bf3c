"""The entries whose keys begin with a prefix, as servers list, count and delete them: in pages.

Each page is bounded work for a server, and says by its cursor where the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import click

from kvorum.client.listing import ClearPage, CountPage, Page
from kvorum.client.synchronous import Client
from kvorum.model.errors import KvorumError
from kvorum.model.keys import encode_key
from kvorum.model.topology import DEFAULT_NAMESPACE

DELETED: Final = "deleted"
"""The detail of an error that says how many entries had been deleted before it."""


class Selected(NamedTuple):
    """The entries of a namespace whose keys begin with `prefix`: all, if it is empty. Without a
    `namespace` they are those of the cluster's default one."""

    namespace: str | None
    prefix: str

    @property
    def namespace_name(self) -> str:
        """Also of the default one."""
        return self.namespace or DEFAULT_NAMESPACE

    @property
    def described(self) -> str:
        """As in 'How many ...?'"""
        whose = f" whose keys begin with {self.prefix!r}" if self.prefix else ""
        return f"entries of namespace {self.namespace_name!r}{whose}"


class Stretch(NamedTuple):
    """A part of a listing: at most `limit` entries, from behind the key `start_after` on."""

    limit: int | None = None
    start_after: str | None = None


def selected(namespace: str | None, prefix: str) -> Selected:
    """Raises UsageError if `prefix` is not UTF-8, so no key can begin with it."""
    try:
        prefix.encode()
    except UnicodeEncodeError as error:
        raise click.UsageError(
            f"The prefix {prefix!r} is not UTF-8, and keys are. Give another.",
            click.get_current_context(),
        ) from error
    return Selected(namespace, prefix)


def pages(
    client: Client, entries: Selected, stretch: Stretch, *, keys_only: bool
) -> Iterator[Page]:
    """Their keys, or with values and metadata the entries. Raises InvalidKey."""
    left, start_after = stretch
    if start_after is not None:
        encode_key(start_after)
    cursor: str | None = None
    while left is None or left > 0:
        page = client.page(
            entries.prefix,
            cursor=cursor,
            start_after=start_after,
            limit=left,
            keys_only=keys_only,
            namespace=entries.namespace,
        )
        yield page
        if left is not None:
            left -= len(page.keys if keys_only else page.entries)
        cursor, start_after = page.cursor, None
        if cursor is None:
            return


def count_pages(client: Client, entries: Selected) -> Iterator[CountPage]:
    """How many there are, part by part."""
    cursor: str | None = None
    while True:
        part = client.count_page(entries.prefix, cursor=cursor, namespace=entries.namespace)
        yield part
        cursor = part.cursor
        if cursor is None:
            return


def delete_pages(client: Client, entries: Selected) -> Iterator[ClearPage]:
    """Delete them, part by part. An error says how many had been `deleted` before it."""
    confirm = entries.prefix or entries.namespace_name
    deleted = 0
    cursor: str | None = None
    while True:
        try:
            part = client.clear_page(
                entries.prefix, confirm=confirm, cursor=cursor, namespace=entries.namespace
            )
        except KvorumError as error:
            error.details[DELETED] = deleted + int(error.details.get(DELETED, 0))
            raise
        yield part
        deleted += part.deleted
        cursor = part.cursor
        if cursor is None:
            return

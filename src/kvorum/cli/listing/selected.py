"""The entries whose keys begin with a prefix, as servers list, count and delete them: in pages.

Each page is bounded work for a server, and says by its cursor where the next one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

import click
import msgspec

from kvorum.client.requests import Request, query_of
from kvorum.client.synchronous import Client
from kvorum.documents.reading import read
from kvorum.model.errors import KvorumError
from kvorum.model.keys import encode_key
from kvorum.model.request import Unreadable
from kvorum.model.topology import DEFAULT_NAMESPACE

KEYS_A_PAGE: Final = 2_000
ENTRIES_A_PAGE: Final = 500

DELETED: Final = "deleted"
"""The detail of an error that says how many entries had been deleted before it."""


class _Part(msgspec.Struct):
    unreadable: list[Unreadable] = []


class KeyPage(_Part):
    """Keys."""

    keys: list[str] = []

    @property
    def size(self) -> int:
        return len(self.keys)


class ListedMetadata(msgspec.Struct, rename="camel"):
    """What a listing tells of an entry beside its value. `expires_at`: in ms since 1970."""

    value_version: str = ""
    encoding: str | None = None
    expires_at: int | None = None


class ListedEntry(msgspec.Struct):
    """An entry of a listing."""

    key: str
    value: Any
    metadata: ListedMetadata


class EntryPage(_Part):
    """Entries."""

    entries: list[ListedEntry] = []

    @property
    def size(self) -> int:
        return len(self.entries)


class CountPage(_Part):
    """How many entries there are in a part of the listing."""

    count: int = 0


class DeletedPage(_Part):
    """How many entries were deleted in a part of the listing."""

    deleted: int = 0


_Page = TypeVar("_Page", KeyPage, EntryPage)


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


def key_pages(client: Client, entries: Selected, stretch: Stretch) -> Iterator[KeyPage]:
    """Their keys. Raises InvalidKey."""
    query = _listing(entries, stretch, values="false")
    return _listed(client, query, KeyPage, stretch.limit, KEYS_A_PAGE)


def entry_pages(client: Client, entries: Selected, stretch: Stretch) -> Iterator[EntryPage]:
    """The same with values and metadata."""
    return _listed(client, _listing(entries, stretch), EntryPage, stretch.limit, ENTRIES_A_PAGE)


def count_pages(client: Client, entries: Selected) -> Iterator[CountPage]:
    """How many there are, part by part."""
    query = {"namespace": entries.namespace, "prefix": entries.prefix or None}
    for document in _documents(client, "GET", "/entries/count", lambda: query):
        yield read(document, CountPage)


def delete_pages(client: Client, entries: Selected) -> Iterator[DeletedPage]:
    """Delete them, part by part. An error says how many had been `deleted` before it."""
    confirm = entries.prefix or entries.namespace_name
    query = {"namespace": entries.namespace, "prefix": entries.prefix, "confirm": confirm}
    deleted = 0
    try:
        for document in _documents(client, "DELETE", "/entries", lambda: query):
            part = read(document, DeletedPage)
            deleted += part.deleted
            yield part
    except KvorumError as error:
        error.details[DELETED] = deleted + int(error.details.get(DELETED, 0))
        raise


def _listing(entries: Selected, stretch: Stretch, **more: str) -> dict[str, Any]:
    if stretch.start_after is not None:
        encode_key(stretch.start_after)
    return {
        "namespace": entries.namespace,
        "prefix": entries.prefix or None,
        "start_after": stretch.start_after,
        **more,
    }


def _listed(
    client: Client, query: dict[str, Any], kind: type[_Page], limit: int | None, a_page: int
) -> Iterator[_Page]:
    """Pages of a listing, until there have been `limit` items."""
    left = limit

    def at_most() -> dict[str, Any]:
        return {**query, "limit": a_page if left is None else min(a_page, left)}

    for document in _documents(client, "GET", "/entries", at_most):
        page = read(document, kind)
        yield page
        if left is not None:
            left -= page.size
            if left <= 0:
                return


def _documents(
    client: Client, method: str, path: str, query: Callable[[], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The answers to a request that is asked again with each answer's cursor, up to the last one.
    `query` is asked before each."""
    cursor: str | None = None
    while True:
        options = query()
        if cursor is not None:
            options = {**options, "start_after": None, "cursor": cursor}
        safe = method == "GET"
        document = client.ask(Request(method, path, query_of(**options), safe=safe, timed=not safe))
        yield document
        cursor = document.get("cursor")
        if cursor is None:
            return

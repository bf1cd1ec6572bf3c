"""The calls of an embedded store about many keys, given one by one or by their prefix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kvorum.client.answers import Result, read_by
from kvorum.client.blocking import BlockingStore
from kvorum.client.defaults import Defaults
from kvorum.client.lifetime import Moment, Ttl, checked_lifetime, checked_renewal
from kvorum.client.listing import ClearPage, CountPage, Page, check_limit, several
from kvorum.client.questions import pairs_of
from kvorum.client.serializers import Serializer, Serializing, packed
from kvorum.embedded.cursors import read_cursor, shown_cursor
from kvorum.embedded.engine import Engine
from kvorum.embedded.entries import Entries, encoded
from kvorum.model.errors import KvorumError, NotFound, RequestError
from kvorum.model.request import Answer, Delete, Get, Put, Request, Selection, Touch
from kvorum.model.topology import DEFAULT_NAMESPACE
from kvorum.service.lifetimes import Lifetime, lifetime

PAGE_ENTRIES: Final = 500


class ManyKeys(BlockingStore):
    """Those of the store of an engine."""

    def __init__(self, engine: Engine, defaults: Defaults) -> None:
        self._engine = engine
        self._defaults = defaults
        self._entries = Entries(engine.service)

    def get_entries(
        self,
        keys: Iterable[str],
        *,
        serializer: Serializing | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> list[Result]:
        """For each of `keys`, in order, its Entry or the error (NotFound, ...) it met."""
        by = self._defaults.serializing(serializer)
        return read_by(by, self._results([Get(namespace, key) for key in several(keys)]))

    def set_many(
        self,
        items: Mapping[str, Any] | Iterable[tuple[str, Any]],
        *,
        ttl: Ttl | None = None,
        expires_at: Moment | None = None,
        serializer: Serializing | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> list[Result]:
        """Store each (key, value); for each, in order, its Entry or the error it met. They are
        stored one by one, not as a transaction. `ttl` and `expires_at` mean what they mean in
        `set`."""
        by = self._defaults.serializing(serializer)
        pairs = pairs_of(items)
        how = lifetime(*checked_lifetime(ttl, expires_at))
        puts = [_put_or_error(namespace, key, value, by, how) for key, value in pairs]
        results = iter(self._results([put for put in puts if isinstance(put, Put)]))
        return read_by(by, [put if isinstance(put, KvorumError) else next(results) for put in puts])

    def exists_each(
        self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE
    ) -> list[bool | KvorumError]:
        """For each of `keys`, in order, whether it has a value, or the error it met."""
        answers = self._engine.ask([Get(namespace, key) for key in several(keys)])
        return [it if isinstance(it, KvorumError) else bool(it.record.versions) for it in answers]

    def delete_many(
        self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE
    ) -> list[bool | KvorumError]:
        """Delete each of `keys`; for each, in order, True if it was deleted, False if it had no
        value, or the error it met. They are deleted one by one, not as a transaction."""
        answers = self._engine.ask([Delete(namespace, key) for key in several(keys)])
        return [_deleted_or_error(answer) for answer in answers]

    def touch_many(
        self,
        keys: Iterable[str],
        ttl: Ttl | None = None,
        *,
        expires_at: Moment | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> list[int | KvorumError | None]:
        """Let each of `keys` live for `ttl` or until `expires_at`, as `touch` does.

        For each, in order, when it expires (ms since 1970; None: never), or the error it met:
        NotFound if it has no value. Raises RequestError for a lifetime that is none.
        """
        renewed = lifetime(*checked_renewal(ttl, expires_at))
        results = self._results([Touch(namespace, key, *renewed) for key in several(keys)])
        return [it if isinstance(it, KvorumError) else it.expires_at for it in results]

    def page(
        self,
        prefix: str = "",
        *,
        cursor: str | None = None,
        start_after: str | None = None,
        limit: int = PAGE_ENTRIES,
        keys_only: bool = False,
        serializer: Serializing | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Page:
        """One page of `scan`, from the `cursor` of the page before on. A cursor stays valid when
        the store is closed and opened again."""
        by = self._defaults.serializing(serializer)
        check_limit(limit)
        page = self._engine.page(
            Selection(
                namespace,
                prefix,
                "keys" if keys_only else "entries",
                max(1, min(limit, PAGE_ENTRIES)),
                read_cursor(cursor, start_after),
                start_after or "",
            )
        )
        entries = [
            self._entries.entry(namespace, key, record).read_by(by) for key, record in page.entries
        ]
        return Page(entries, shown_cursor(page.cursor), page.unreadable, page.keys)

    def count_page(
        self,
        prefix: str = "",
        *,
        cursor: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> CountPage:
        """One part of `count`, from the `cursor` of the part before on."""
        page = self._engine.page(Selection(namespace, prefix, "count", cursor=read_cursor(cursor)))
        return CountPage(page.count, shown_cursor(page.cursor), page.unreadable)

    def clear_page(
        self,
        prefix: str,
        *,
        confirm: str,
        cursor: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> ClearPage:
        """One part of `clear`, from the `cursor` of the part before on. `confirm` repeats the
        prefix; where that is empty, it is the namespace's name."""
        if confirm != (prefix or namespace):
            raise RequestError(
                f"confirm is {confirm!r}, and {prefix or namespace!r} is what would be deleted. "
                "Repeat that."
            )
        page = self.page(prefix, cursor=cursor, keys_only=True, namespace=namespace)
        results = self.delete_many(page.keys, namespace=namespace)
        for result in results:
            if isinstance(result, KvorumError):
                raise result
        return ClearPage(sum(map(bool, results)), page.cursor, page.unreadable)

    def _results(self, requests: list[Request]) -> list[Result]:
        answers = self._engine.ask(requests)
        return list(map(self._entries.result, requests, answers))


def _put_or_error(
    namespace: str, key: str, value: Any, serializer: Serializer | None, how: Lifetime
) -> Put | KvorumError:
    try:
        kind, data = encoded(packed(value, serializer))
    except KvorumError as error:
        return error
    return Put(namespace, key, kind, data, ttl=how[0], expires=how[1])


def _deleted_or_error(answer: Answer | KvorumError) -> bool | KvorumError:
    if isinstance(answer, NotFound):
        return False
    return answer if isinstance(answer, KvorumError) else True

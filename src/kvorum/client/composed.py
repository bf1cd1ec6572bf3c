"""What every store does by means of a few calls of its own: written once, as coroutines.

The asynchronous client inherits these methods. A store that blocks has its own made of them
(`blocking.py`): there every call is done when it is awaited, so the coroutine never waits.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, TypeVar, Unpack

from kvorum.client import update
from kvorum.client.answers import Result, values_of
from kvorum.client.budget import Budget, ChangeOptions, PageOptions, ReadOptions
from kvorum.client.conflicts import OnConflict, resolved
from kvorum.client.defaults import Defaults
from kvorum.client.entry import Entry
from kvorum.client.lifetime import Ttl
from kvorum.client.listing import (
    ClearPage,
    CountPage,
    Page,
    check_limit,
    check_prefix,
    check_readable,
    several,
)
from kvorum.client.serializers import Serializing
from kvorum.client.update import ATTEMPTS, MISSING, Change
from kvorum.model.errors import KvorumError, NotFound, PreconditionFailed, RequestError
from kvorum.model.request import Unreadable
from kvorum.model.topology import DEFAULT_NAMESPACE, QuorumKind

_Value = TypeVar("_Value")


class Composed:
    """The methods that are made of a store's own calls, which are the first ones here."""

    _defaults: Defaults

    async def get_entry(self, *args: Any, **options: Any) -> Entry:
        """The entry of a key. Raises NotFound."""
        raise NotImplementedError

    async def get_entries(self, *args: Any, **options: Any) -> list[Result]:
        """The entries of keys, or their errors."""
        raise NotImplementedError

    async def set(self, *args: Any, **options: Any) -> Entry:
        """Store a value."""
        raise NotImplementedError

    async def delete(self, *args: Any, **options: Any) -> Entry:
        """Delete a key."""
        raise NotImplementedError

    async def exists_each(self, *args: Any, **options: Any) -> list[bool | KvorumError]:
        """Whether keys have values, or their errors."""
        raise NotImplementedError

    async def page(self, *args: Any, **options: Any) -> Page:
        """A page of a listing."""
        raise NotImplementedError

    async def count_page(self, *args: Any, **options: Any) -> CountPage:
        """A part of a count."""
        raise NotImplementedError

    async def clear_page(self, *args: Any, **options: Any) -> ClearPage:
        """A part of a deletion by prefix."""
        raise NotImplementedError

    async def _pause(self, seconds: float) -> None:
        raise NotImplementedError

    # One key

    async def get(
        self,
        key: str,
        default: Any = None,
        *,
        on_conflict: OnConflict | None = None,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        r: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> Any:
        """The value of `key`, or `default` if it has none.

        The JSON value null is None as well: give a default of your own to tell it from no value.
        If the key holds siblings, `on_conflict` says what is returned: "latest", the latest value
        by the writers' clocks; "raise" raises SiblingsFound; a function gets the list of all, the
        latest first. Left out it is the client's, "latest" unless that was made with another.
        """
        decide = self._defaults.deciding(on_conflict)
        try:
            entry = await self.get_entry(
                key,
                serializer=serializer,
                namespace=namespace,
                r=r,
                quorum=quorum,
                timeout=timeout,
            )
        except NotFound:
            return default
        return resolved(entry, decide)

    async def exists(
        self, key: str, *, namespace: str | None = None, **options: Unpack[ReadOptions]
    ) -> bool:
        """Whether `key` has a value, which is not sent."""
        (found,) = await self.exists_each([key], namespace=namespace, **options)
        if isinstance(found, KvorumError):
            raise found
        return found

    async def pop(
        self,
        key: str,
        default: Any = MISSING,
        *,
        on_conflict: OnConflict | None = None,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        **options: Unpack[ChangeOptions],
    ) -> Any:
        """Delete `key`; returns the value it had, or `default` if it had none; without a default
        that raises NotFound.

        It reads the entry and deletes what it has read, again and again while others change it; so
        nothing is deleted that cannot be returned. Two callers at once may both get the value.
        """
        decide = self._defaults.deciding(on_conflict)
        budget = Budget(options, self._defaults.timeout)

        async def attempt() -> Any:
            entry = await self.get_entry(
                key, **budget.read(serializer=serializer, namespace=namespace)
            )
            value = resolved(entry, decide)
            await self.delete(key, **budget.write(if_version=entry.version, namespace=namespace))
            return value

        try:
            return await self._attempts(key, ATTEMPTS, budget, attempt)
        except NotFound:
            if default is MISSING:
                raise
            return default

    async def update(
        self,
        key: str,
        function: Callable[[Any], Any],
        *,
        merge: Callable[[list[Any]], Any] | None = None,
        default: Any = MISSING,
        attempts: int = ATTEMPTS,
        ttl: Ttl | None = None,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        **options: Unpack[ChangeOptions],
    ) -> Entry:
        """Replace the value of `key` by what `function` returns for it; returns the new entry.

        The write happens only if the entry is still as it was read. Otherwise all of it is done
        again, after a random pause, so `function` may be called several times: let it have no
        other effect. If there is no value, `function` gets `default`; without one that raises
        NotFound. If there are siblings, it gets what `merge` returns for the list of all, the
        latest first; without `merge` that raises SiblingsFound.

        Raises PreconditionFailed after `attempts` that others overtook. If the outcome of a write
        is unknown, the error is raised, and the write not repeated. The entry keeps its lifetime
        unless `ttl` is given; a new one lives as long as its namespace says.

        Two updates through different servers at the same moment may both pass the check. Both
        values are kept then, as siblings, and the next update merges them.
        """
        change = Change(key, merge, default)
        budget = Budget(options, self._defaults.timeout)

        async def attempt() -> Entry:
            entry: Entry | None
            try:
                entry = await self.get_entry(
                    key, **budget.read(serializer=serializer, namespace=namespace)
                )
            except NotFound:
                entry = None
            value = function(change.before(entry))
            if inspect.isawaitable(value):
                value = await value
            expected = update.condition(entry, ttl)
            return await self.set(
                key,
                value,
                **expected,
                **budget.write(serializer=serializer, namespace=namespace),
            )

        written: Entry = await self._attempts(key, attempts, budget, attempt)
        return written

    async def _attempts(
        self, key: str, attempts: int, budget: Budget, attempt: Callable[[], Any]
    ) -> Any:
        """What `attempt` returns as soon as nobody was faster. Raises PreconditionFailed."""
        pauses = update.pauses(attempts).draw(random.Random())
        while True:
            try:
                return await attempt()
            except PreconditionFailed as error:
                pause = next(pauses, None)
                if pause is None or not budget.lasts(pause):
                    raise update.gave_up(key, error) from error
            await self._pause(pause)

    # Many keys

    async def get_many(
        self,
        keys: Iterable[str],
        *,
        on_conflict: OnConflict | None = None,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        r: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """The values of those `keys` that have one. Raises the first error met. A value that Python
        cannot hold is replaced by an InvalidValue. `on_conflict` means what it means in `get`."""
        decide = self._defaults.deciding(on_conflict)
        asked = several(keys)
        results = await self.get_entries(
            asked, serializer=serializer, namespace=namespace, r=r, quorum=quorum, timeout=timeout
        )
        return values_of(asked, results, decide)

    async def exists_many(
        self, keys: Iterable[str], *, namespace: str | None = None, **options: Unpack[ReadOptions]
    ) -> frozenset[str]:
        """Those of `keys` that have a value. Raises the first error met."""
        asked = several(keys)
        found: list[str] = []
        for key, there in zip(
            asked, await self.exists_each(asked, namespace=namespace, **options), strict=True
        ):
            if isinstance(there, KvorumError):
                raise there
            if there:
                found.append(key)
        return frozenset(found)

    # Keys by their prefix

    async def scan(
        self,
        prefix: str = "",
        *,
        limit: int | None = None,
        start_after: str | None = None,
        keys_only: bool = False,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        **options: Unpack[PageOptions],
    ) -> AsyncIterator[Any]:
        """The entries whose keys begin with `prefix`, page by page; with `keys_only` their keys.

        At most `limit`, from behind the key `start_after` on. They come in the order of their
        tokens, which is that of a hash; if `prefix` holds a whole hash tag in braces, in the order
        of keys. Each comes once; what is written meanwhile may or may not be seen. `timeout` is for
        each page. Raises CorruptRecord behind the last one if some could not be read; its details
        name them.
        """
        check_prefix(prefix)
        check_limit(limit)
        unreadable: list[Unreadable] = []
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            page = await self.page(
                prefix,
                cursor=cursor,
                start_after=start_after,
                limit=left,
                keys_only=keys_only,
                serializer=serializer,
                namespace=namespace,
                **options,
            )
            found: Sequence[Any] = page.keys if keys_only else page.entries
            for one in found[:left]:
                yield one
            if left is not None:
                left -= len(found)
            unreadable += page.unreadable
            cursor, start_after = page.cursor, None
            if cursor is None:
                break
        check_readable(unreadable)

    async def keys(
        self,
        prefix: str = "",
        *,
        limit: int | None = None,
        start_after: str | None = None,
        namespace: str | None = None,
        **options: Unpack[PageOptions],
    ) -> AsyncIterator[str]:
        """The keys that begin with `prefix`, as `scan` gives them; no value is sent."""
        keys = self.scan(
            prefix,
            limit=limit,
            start_after=start_after,
            keys_only=True,
            namespace=namespace,
            **options,
        )
        async for key in keys:
            yield key

    async def count(
        self, prefix: str = "", *, namespace: str | None = None, **options: Unpack[PageOptions]
    ) -> int:
        """How many keys begin with `prefix`. The servers look at each of them, so it takes time in
        proportion to the size of the namespace. `timeout` is for each of the requests it takes.
        Raises CorruptRecord if some could not be read."""
        check_prefix(prefix)
        total = 0
        unreadable: list[Unreadable] = []
        cursor: str | None = None
        while True:
            part = await self.count_page(prefix, cursor=cursor, namespace=namespace, **options)
            total += part.counted
            unreadable += part.unreadable
            cursor = part.cursor
            if cursor is None:
                break
        check_readable(unreadable, "counted")
        return total

    async def clear(
        self,
        prefix: str,
        *,
        confirm: str | None = None,
        namespace: str | None = None,
        **options: Unpack[PageOptions],
    ) -> int:
        """Delete all keys that begin with `prefix`; returns how many there were.

        To delete everything in a namespace, give "" and `confirm`, the namespace's name. It is no
        transaction: what is written meanwhile may stay. `timeout` is for each of the requests it
        takes. An error's details say how many keys were `deleted` before it. Raises CorruptRecord
        at the end if some could not be read, which stay.
        """
        check_prefix(prefix)
        named = namespace or self._defaults.namespace or DEFAULT_NAMESPACE
        if not prefix and confirm != named:
            raise RequestError(
                f"An empty prefix means every key of the namespace {named!r}. To delete them all, "
                f"give confirm={named!r} as well."
            )
        deleted = 0
        unreadable: list[Unreadable] = []
        cursor: str | None = None
        while True:
            try:
                part = await self.clear_page(
                    prefix, confirm=prefix or named, cursor=cursor, namespace=namespace, **options
                )
            except KvorumError as error:
                error.details["deleted"] = deleted + int(error.details.get("deleted", 0))
                raise
            deleted += part.deleted
            unreadable += part.unreadable
            cursor = part.cursor
            if cursor is None:
                break
        check_readable(unreadable, "deleted")
        return deleted

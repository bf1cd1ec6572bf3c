"""The composed methods of stores that block: the coroutines of `composed.py`, run to their end.

A store that blocks hands its own calls to the coroutine as ones that are done when they are
awaited, so the coroutine never waits: it runs on the caller's thread, and with it the functions
that the caller gave.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from kvorum.client.answers import Result
from kvorum.client.composed import Composed
from kvorum.client.conflicts import OnConflict
from kvorum.client.defaults import Defaults
from kvorum.client.entry import Entry
from kvorum.client.lifetime import Ttl, WrongType
from kvorum.client.listing import ClearPage, CountPage, Page, check_prefix
from kvorum.client.mapping import StoreMapping
from kvorum.client.serializers import Serializing
from kvorum.model.errors import KvorumError
from kvorum.model.topology import DEFAULT_NAMESPACE

SHOWN_BY_HELP: Final = ("__name__", "__doc__", "__annotations__")

_P = ParamSpec("_P")
_T = TypeVar("_T")


class OwnCalls(Composed):
    """The calls of a store that blocks, each of them done when it is awaited."""

    def __init__(self, store: BlockingStore, defaults: Defaults) -> None:
        self._store = store
        self._defaults = defaults

    async def get_entry(self, *args: Any, **options: Any) -> Entry:
        """As the store's own."""
        return self._store.get_entry(*args, **_given(options))

    async def get_entries(self, *args: Any, **options: Any) -> list[Result]:
        """As the store's own."""
        return self._store.get_entries(*args, **_given(options))

    async def set(self, *args: Any, **options: Any) -> Entry:
        """As the store's own."""
        return self._store.set(*args, **_given(options))

    async def delete(self, *args: Any, **options: Any) -> Entry:
        """As the store's own."""
        return self._store.delete(*args, **_given(options))

    async def exists_each(self, *args: Any, **options: Any) -> list[bool | KvorumError]:
        """As the store's own."""
        return self._store.exists_each(*args, **_given(options))

    async def page(self, *args: Any, **options: Any) -> Page:
        """As the store's own."""
        return self._store.page(*args, **_given(options))

    async def count_page(self, *args: Any, **options: Any) -> CountPage:
        """As the store's own."""
        return self._store.count_page(*args, **_given(options))

    async def clear_page(self, *args: Any, **options: Any) -> ClearPage:
        """As the store's own."""
        return self._store.clear_page(*args, **_given(options))

    async def _pause(self, seconds: float) -> None:
        time.sleep(seconds)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Without those that are None: a store need not have an option that is not used."""
    return {name: value for name, value in options.items() if value is not None}


def _done(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """What `coroutine` returns, which waits for nothing. Raises WrongType if it does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        returned: _T = end.value
        return returned
    coroutine.close()
    raise WrongType(
        "The given function is one of asyncio's, and this store blocks. Give an ordinary function, "
        "or use kvorum.aio."
    )


def at_once(
    method: Callable[Concatenate[Composed, _P], Coroutine[Any, Any, _T]],
) -> Callable[Concatenate[Any, _P], _T]:
    """The `method`, as one that returns when it is done."""

    @functools.wraps(method, assigned=SHOWN_BY_HELP)
    def blocking(self: BlockingStore, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return _done(method(OwnCalls(self, self._defaults), *args, **kwargs))

    blocking.__qualname__ = f"BlockingStore.{method.__name__}"
    return blocking


def _each_at_once(
    method: Callable[Concatenate[Composed, _P], AsyncIterator[_T]],
) -> Callable[Concatenate[Any, _P], Iterator[_T]]:
    """The same of a method whose results are iterated over."""

    @functools.wraps(method, assigned=SHOWN_BY_HELP)
    def blocking(self: BlockingStore, /, *args: _P.args, **kwargs: _P.kwargs) -> Iterator[_T]:
        found = method(OwnCalls(self, self._defaults), *args, **kwargs)
        while True:
            try:
                one = _done(_next(found))
            except StopAsyncIteration:
                return
            yield one

    blocking.__qualname__ = f"BlockingStore.{method.__name__}"
    return blocking


async def _next(found: AsyncIterator[_T]) -> _T:
    return await anext(found)


class BlockingStore:
    """A store whose calls return when they are done: the methods that are made of its own calls."""

    _defaults: Defaults

    def get(self, *args: Any, **options: Any) -> Any:
        """The value of a key."""
        raise NotImplementedError

    def get_entry(self, *args: Any, **options: Any) -> Entry:
        """The entry of a key. Raises NotFound."""
        raise NotImplementedError

    def get_entries(self, *args: Any, **options: Any) -> list[Result]:
        """The entries of keys, or their errors."""
        raise NotImplementedError

    def set(self, *args: Any, **options: Any) -> Entry:
        """Store a value."""
        raise NotImplementedError

    def set_many(self, *args: Any, **options: Any) -> list[Result]:
        """Store values."""
        raise NotImplementedError

    def delete(self, *args: Any, **options: Any) -> Entry:
        """Delete a key."""
        raise NotImplementedError

    def exists_each(self, *args: Any, **options: Any) -> list[bool | KvorumError]:
        """Whether keys have values, or their errors."""
        raise NotImplementedError

    def page(self, *args: Any, **options: Any) -> Page:
        """A page of a listing."""
        raise NotImplementedError

    def count_page(self, *args: Any, **options: Any) -> CountPage:
        """A part of a count."""
        raise NotImplementedError

    def clear_page(self, *args: Any, **options: Any) -> ClearPage:
        """A part of a deletion by prefix."""
        raise NotImplementedError

    get_many = at_once(Composed.get_many)
    exists = at_once(Composed.exists)
    exists_many = at_once(Composed.exists_many)
    pop = at_once(Composed.pop)
    update = at_once(Composed.update)
    scan = _each_at_once(Composed.scan)
    keys = _each_at_once(Composed.keys)
    count = at_once(Composed.count)
    clear = at_once(Composed.clear)

    def mapping(
        self,
        prefix: str = "",
        *,
        namespace: str | None = None,
        on_conflict: OnConflict | None = None,
        serializer: Serializing | None = None,
        ttl: Ttl | None = None,
    ) -> StoreMapping:
        """The entries whose keys begin with `prefix` as a dict, whose keys are without it.

        It holds nothing itself: every access is a call. Values that are put in live for `ttl`.
        """
        check_prefix(prefix)
        return StoreMapping(
            self,
            prefix,
            namespace or self._defaults.namespace or DEFAULT_NAMESPACE,
            on_conflict=self._defaults.deciding(on_conflict),
            serializer=serializer,
            ttl=ttl,
        )

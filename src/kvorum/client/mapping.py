"""A part of a store as a dict: the keys that begin with a prefix, which they are shown without.

    cart = store.mapping("cart:7:")
    cart["book"] = 2                stores "cart:7:book"
    dict(cart.items())              {"book": 2}

It holds nothing itself: what it shows is what the store holds at that moment, whoever wrote it.

    m[k], m[k] = v, k in m, del m[k]    one request
    m.pop(k)                            two
    iteration, keys, items, values, ==  a page at a time; of keys alone, no value is sent
    dict(m)                             one request for each key; dict(m.items()) does better
    len(m), m.clear()                   the servers go through the namespace
    m.update(...)                       requests of many entries

Where several programs change it, a step that a dict does at once (`setdefault`, `popitem`) is
done again if another one came first.
"""

from __future__ import annotations

from collections.abc import ItemsView as Items
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any, Final, Protocol

from kvorum.client.conflicts import OnConflict, resolved
from kvorum.client.lifetime import Ttl, WrongType
from kvorum.client.serializers import Serializing
from kvorum.client.update import MISSING
from kvorum.model.errors import InvalidKey, KvorumError, NotFound, PreconditionFailed

_FIRST: Final = 10
"""So many keys are looked at together to find one that is still there."""


class Mapped(Protocol):
    """What a mapping needs of its store."""

    def get(self, *args: Any, **options: Any) -> Any:
        """A value, or a default."""

    def exists(self, *args: Any, **options: Any) -> bool:
        """Whether there is a value."""

    def set(self, *args: Any, **options: Any) -> Any:
        """Store a value."""

    def set_many(self, *args: Any, **options: Any) -> Iterable[Any]:
        """Store values; each one's entry or error."""

    def delete(self, *args: Any, **options: Any) -> Any:
        """Delete a key. Raises NotFound."""

    def pop(self, *args: Any, **options: Any) -> Any:
        """Delete a key; its value."""

    def keys(self, *args: Any, **options: Any) -> Iterator[str]:
        """Keys by prefix."""

    def scan(self, *args: Any, **options: Any) -> Iterator[Any]:
        """Entries by prefix."""

    def count(self, *args: Any, **options: Any) -> int:
        """How many keys there are by prefix."""

    def clear(self, *args: Any, **options: Any) -> int:
        """Delete keys by prefix."""


class StoreMapping(MutableMapping[str, Any]):
    """The entries of a store whose keys begin with `prefix`, as a dict. Its keys are strings."""

    __hash__ = None  # type: ignore[assignment]  # as a dict's

    def __init__(
        self,
        store: Mapped,
        prefix: str,
        namespace: str,
        *,
        on_conflict: OnConflict,
        serializer: Serializing | None,
        ttl: Ttl | None,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._namespace = namespace
        self._on_conflict = on_conflict
        self._place: Final = {"namespace": namespace}
        self._reading: Final = {"namespace": namespace, "serializer": serializer}
        self._writing: Final = {**self._reading, "ttl": ttl}

    def __repr__(self) -> str:
        return f"StoreMapping({self._prefix!r}, namespace={self._namespace!r})"

    def __getitem__(self, key: str) -> Any:
        try:
            value = self._store.get(
                self._full(key), MISSING, on_conflict=self._on_conflict, **self._reading
            )
        except InvalidKey as error:
            raise KeyError(key) from error
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self._store.set(self._full(key), value, **self._writing)

    def __delitem__(self, key: str) -> None:
        try:
            self._store.delete(self._full(key), **self._place)
        except (NotFound, InvalidKey) as error:
            raise KeyError(key) from error

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        try:
            return self._store.exists(self._full(key), **self._place)
        except InvalidKey:
            return False

    def __iter__(self) -> Iterator[str]:
        for key in self._store.keys(self._prefix, **self._place):
            yield key.removeprefix(self._prefix)

    def __len__(self) -> int:
        return self._store.count(self._prefix, **self._place)

    def __bool__(self) -> bool:
        return any(True for _ in self._store.keys(self._prefix, limit=1, **self._place))

    def items(self) -> Items[str, Any]:
        """The keys and values, a page at a time."""
        return _PagedItems(self)

    def values(self) -> ValuesView[Any]:
        """The values, a page at a time."""
        return _PagedValues(self)

    def pairs(self) -> Iterator[tuple[str, Any]]:
        """The keys and values, a page at a time; what `items` and `values` iterate over."""
        for entry in self._store.scan(self._prefix, **self._reading):
            yield entry.key.removeprefix(self._prefix), resolved(entry, self._on_conflict)

    def pop(self, key: str, default: Any = MISSING) -> Any:
        """Delete `key`; returns the value it had, or `default`. Raises KeyError without one."""
        try:
            return self._store.pop(self._full(key), on_conflict=self._on_conflict, **self._reading)
        except (NotFound, InvalidKey) as error:
            if default is MISSING:
                raise KeyError(key) from error
            return default

    def popitem(self) -> tuple[str, Any]:
        """Delete a key, whichever comes first; returns it and its value. Raises KeyError if there
        is none."""
        while some := list(self._store.keys(self._prefix, limit=_FIRST, **self._place)):
            for full in some:
                key = full.removeprefix(self._prefix)
                value = self.pop(key, MISSING)
                if value is not MISSING:
                    return key, value
        raise KeyError(f"{self!r} is empty")

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of `key`, which becomes `default` if there is none."""
        while True:
            value = self.get(key, MISSING)
            if value is not MISSING:
                return value
            try:
                return self._store.set(
                    self._full(key), default, if_absent=True, **self._writing
                ).value
            except PreconditionFailed:
                continue

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Store many values, in requests of many entries. Raises the first error met; the other
        values are stored all the same."""
        # By items, which come a page at a time; `dict` would ask a mapping for each key.
        values = dict(other.items() if isinstance(other, Mapping) else other) | more
        pairs = [(self._full(key), value) for key, value in values.items()]
        for result in self._store.set_many(pairs, **self._writing):
            if isinstance(result, KvorumError):
                raise result

    def clear(self) -> None:
        """Delete all keys that begin with the prefix; if that is empty, all of the namespace."""
        confirm = None if self._prefix else self._namespace
        self._store.clear(self._prefix, confirm=confirm, **self._place)

    def _full(self, key: str) -> str:
        """The key in the store. Raises WrongType for what is no string."""
        if not isinstance(key, str):
            raise WrongType(f"A key is a str, and not {type(key).__name__} ({repr(key)[:40]}).")
        return self._prefix + key


class _PagedItems(Items[str, Any]):
    """The items of a mapping, which come with their keys instead of one by one."""

    def __init__(self, mapping: StoreMapping) -> None:
        super().__init__(mapping)
        self._pairs = mapping.pairs

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self._pairs()


class _PagedValues(ValuesView[Any]):
    """The values of a mapping, which come with their keys instead of one by one."""

    def __init__(self, mapping: StoreMapping) -> None:
        super().__init__(mapping)
        self._pairs = mapping.pairs

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._pairs())

    def __contains__(self, value: object) -> bool:
        return any(one is value or one == value for one in self)

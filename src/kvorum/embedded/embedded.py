"""The embedded store: one node's engine inside a Python program, without a server.

    with kvorum.open("data") as store:
        store.set("greeting", {"en": "hello"})
        store.get("greeting")

The methods are those of `kvorum.connect`. The directory is that of `kvorum serve --data-dir data`,
with N = 1; only one process can have it open. Writes are durable when they return; those of a list
share one sync.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from kvorum.client.answers import Result, values_of
from kvorum.client.entry import Entry
from kvorum.client.lifetime import Ttl, checked_lifetime, seconds_of
from kvorum.client.listing import check_readable
from kvorum.client.url import check_is_text
from kvorum.embedded.engine import Engine
from kvorum.embedded.entries import Entries, put_of
from kvorum.local_store import Holding
from kvorum.model.errors import ConfigError, KvorumError, NotFound, RequestError
from kvorum.model.request import (
    ABSENT,
    EXACT,
    Delete,
    Get,
    Put,
    Request,
    Selection,
    Touch,
    Unreadable,
)
from kvorum.model.sizes import parse_size
from kvorum.model.topology import DEFAULT_NAMESPACE, NamespaceSettings
from kvorum.runtime.descriptors import descriptor_limit, engine_files
from kvorum.sealing.master_key import parse_source
from kvorum.service.lifetimes import lifetime
from kvorum.storage.budget import MEMORY_DEFAULT

_PAGE: Final = 500


def open(  # noqa: A001  as gzip.open
    path: str | Path, *, master_key: str | None = None, memory: int | str = MEMORY_DEFAULT
) -> Embedded:
    """Open or create the store in the directory `path`. Raises ConfigError or StorageError.

    `master_key` says where the key is that wraps all others: "file:PATH", "env:NAME" or
    "command:PROGRAM ARGUMENTS". Left out it is the file `master.key` in the directory.
    `memory` is what caches and buffers may take together, in bytes or as in "512MB".
    """
    if not os.fspath(path):
        raise ConfigError("The path of the store is empty. Name a directory, '.' for this one.")
    if Path(path).exists() and not Path(path).is_dir():
        raise ConfigError(f"{path} is not a directory. Name a directory for the store.")
    source = None if master_key is None else parse_source(master_key)
    size = parse_size(memory) if isinstance(memory, str) else memory
    files = engine_files(descriptor_limit())
    return Embedded(Engine(Holding(Path(path), source, size, files, own_catalog=True)))


class Embedded:
    """An open store. May be shared by threads: one call runs at a time.

    It belongs to the process that opened it. In a process that was forked since, every call raises
    ConfigError, but for `close`, which has no effect.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._entries = Entries(engine.service)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Make everything durable and free the directory. May be called again. Raises StorageError
        if the directory was removed, moved or replaced meanwhile."""
        self._engine.close()

    def get(self, key: str, default: Any = None, *, namespace: str = DEFAULT_NAMESPACE) -> Any:
        """The value of `key`, or `default` if it has none."""
        try:
            return self.get_entry(key, namespace=namespace).value
        except NotFound:
            return default

    def get_entry(self, key: str, *, namespace: str = DEFAULT_NAMESPACE) -> Entry:
        """The value of `key` with its version, clock and siblings. Raises NotFound."""
        return self._ask(Get(namespace, key))

    def set(
        self,
        key: str,
        value: Any,
        *,
        version: str | None = None,
        if_version: str | None = None,
        if_absent: bool = False,
        ttl: Ttl | None = None,
        expires_at: int | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Entry:
        """Store `value` under `key`; returns the entry as it then is.

        With `version` (of a read) it replaces what that read saw, without it, all there is.
        Raises PreconditionFailed if the entry is at another version than `if_version`, or
        with `if_absent`, if there is one.

        It lives for `ttl` (seconds or a timedelta), or until `expires_at` (ms since 1970); a ttl of
        0 is for ever, and without either it is the namespace's.
        """
        seen, expect = self._entries.condition(namespace, key, version, if_version)
        if if_absent:
            if expect == EXACT:
                raise RequestError("Both if_version and if_absent are given. Give one of them.")
            expect = ABSENT
        seconds, expires = lifetime(*checked_lifetime(ttl, expires_at))
        put = put_of(namespace, key, value)
        return self._ask(
            msgspec.structs.replace(put, seen=seen, expect=expect, ttl=seconds, expires=expires)
        )

    def touch(
        self,
        key: str,
        ttl: Ttl,
        *,
        version: str | None = None,
        if_version: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> int | None:
        """Let `key` live for `ttl` (seconds or a timedelta) from now, 0 for ever.

        Returns when it expires (ms since 1970), None if never. Raises NotFound. `version` and
        `if_version` mean what they mean in `set`.
        """
        seen, expect = self._entries.condition(namespace, key, version, if_version)
        touch = Touch(namespace, key, *lifetime(seconds_of(ttl), None), seen=seen, expect=expect)
        return self._ask(touch).expires_at

    def delete(
        self,
        key: str,
        *,
        version: str | None = None,
        if_version: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Entry:
        """Delete `key`; returns the entry that was deleted. Raises NotFound. `version` and
        `if_version` mean what they mean in `set`."""
        condition = self._entries.condition(namespace, key, version, if_version)
        return self._ask(Delete(namespace, key, *condition))

    def get_many(
        self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE
    ) -> dict[str, Any]:
        """The values of those `keys` that have one. Raises the first error met. A value that Python
        cannot hold is replaced by an InvalidValue."""
        asked = list(keys)
        return values_of(asked, self.get_entries(asked, namespace=namespace))

    def get_entries(
        self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE
    ) -> list[Result]:
        """For each of `keys`, in order, its Entry or the error (NotFound, ...) it met."""
        return self._results([Get(namespace, key) for key in keys])

    def set_many(
        self,
        items: Mapping[str, Any] | Iterable[tuple[str, Any]],
        *,
        ttl: Ttl | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> list[Result]:
        """Store each (key, value); for each, in order, its Entry or the error it met. They are
        stored one by one, not as a transaction. `ttl` means what it means in `set`."""
        pairs = items.items() if isinstance(items, Mapping) else items
        seconds = seconds_of(ttl)
        puts = [_put_or_error(namespace, key, value, seconds) for key, value in pairs]
        results = iter(self._results([put for put in puts if isinstance(put, Put)]))
        return [put if isinstance(put, KvorumError) else next(results) for put in puts]

    def scan(self, namespace: str = DEFAULT_NAMESPACE) -> Iterator[Entry]:
        """All entries of a namespace, in the order of their tokens, page by page.

        What is written meanwhile may or may not be seen. Raises CorruptRecord behind the last entry
        if some could not be read; its details name them.
        """
        cursor = b""
        unreadable: list[Unreadable] = []
        while True:
            page = self._engine.page(Selection(namespace, limit=_PAGE, cursor=cursor))
            for key, record in page.entries:
                yield self._entries.entry(namespace, key, record)
            unreadable += page.unreadable
            cursor = page.cursor
            if not cursor:
                break
        check_readable(unreadable)

    def namespaces(self) -> dict[str, NamespaceSettings]:
        """The settings of each namespace, by name."""
        with self._engine.namespaces() as namespaces:
            return dict(namespaces.catalog.namespaces)

    def create_namespace(self, name: str, **settings: Any) -> NamespaceSettings:
        """Make the namespace `name`; nothing is done if there is one with these settings.

        `settings` are those of a cluster file, such as ttl=60, compression="off" or durability=
        "none" with max_memory. Returns them all. Raises RequestError, also if there is a namespace
        of that name with other settings.
        """
        check_is_text(name)
        with self._engine.namespaces() as namespaces:
            namespaces.create(name, settings)
            return namespaces.catalog.settings(name)

    def alter_namespace(self, name: str, **settings: Any) -> NamespaceSettings:
        """Change settings of a namespace; returns all. Raises NamespaceNotFound or RequestError."""
        check_is_text(name)
        with self._engine.namespaces() as namespaces:
            namespaces.catalog.settings(name)
            namespaces.put(name, settings)
            return namespaces.catalog.settings(name)

    def drop_namespace(self, name: str) -> None:
        """End the namespace `name`, and destroy for good all that it holds. Raises
        NamespaceNotFound, and RequestError for the default one."""
        check_is_text(name)
        self._engine.drop_namespace(name)

    def _ask(self, request: Request) -> Entry:
        (result,) = self._results([request])
        return _sound(result)

    def _results(self, requests: list[Request]) -> list[Result]:
        answers = self._engine.ask(requests)
        return list(map(self._entries.result, requests, answers))


def _put_or_error(namespace: str, key: str, value: Any, ttl: int | None) -> Put | KvorumError:
    try:
        return msgspec.structs.replace(put_of(namespace, key, value), ttl=ttl)
    except KvorumError as error:
        return error


def _sound(result: Result) -> Entry:
    if isinstance(result, KvorumError):
        raise result
    return result

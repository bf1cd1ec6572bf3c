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
from pathlib import Path
from typing import Any, Self

from kvorum.client.answers import Result
from kvorum.client.conflicts import LATEST, OnConflict, checked_on_conflict, resolved
from kvorum.client.defaults import Defaults
from kvorum.client.entry import Entry
from kvorum.client.lifetime import Moment, Ttl, checked_lifetime, checked_renewal
from kvorum.client.options import check_is_text
from kvorum.client.serializers import Serializing, packed, serializer_of
from kvorum.embedded.engine import Engine
from kvorum.embedded.entries import encoded, no_such_key, value_in
from kvorum.embedded.many_keys import ManyKeys
from kvorum.local_store import Holding
from kvorum.model.errors import ConfigError, KvorumError, NotFound, RequestError
from kvorum.model.request import (
    ABSENT,
    EXACT,
    Delete,
    Put,
    Request,
    Touch,
)
from kvorum.model.sizes import parse_size
from kvorum.model.topology import DEFAULT_NAMESPACE, NamespaceSettings
from kvorum.runtime.descriptors import descriptor_limit, engine_files
from kvorum.sealing.master_key import parse_source
from kvorum.service.lifetimes import DEFAULT, lifetime
from kvorum.storage.budget import MEMORY_DEFAULT


def open(  # noqa: A001  as gzip.open
    path: str | Path,
    *,
    master_key: str | None = None,
    memory: int | str = MEMORY_DEFAULT,
    on_conflict: OnConflict = LATEST,
    serializer: Serializing = "json",
) -> Embedded:
    """Open or create the store in the directory `path`. Raises ConfigError or StorageError.

    `master_key` says where the key is that wraps all others: "file:PATH", "env:NAME" or
    "command:PROGRAM ARGUMENTS". Left out it is the file `master.key` in the directory.
    `memory` is what caches and buffers may take together, in bytes or as in "512MB".
    `on_conflict` and `serializer` are those of calls that name none; see `Embedded.get` and `set`.
    """
    defaults = Defaults(
        DEFAULT_NAMESPACE,
        on_conflict=checked_on_conflict(on_conflict),
        serializer=serializer_of(serializer),
    )
    if not os.fspath(path):
        raise ConfigError("The path of the store is empty. Name a directory, '.' for this one.")
    if Path(path).exists() and not Path(path).is_dir():
        raise ConfigError(f"{path} is not a directory. Name a directory for the store.")
    source = None if master_key is None else parse_source(master_key)
    size = parse_size(memory) if isinstance(memory, str) else memory
    files = engine_files(descriptor_limit())
    return Embedded(Engine(Holding(Path(path), source, size, files, own_catalog=True)), defaults)


class Embedded(ManyKeys):
    """An open store. May be shared by threads: one call runs at a time.

    It belongs to the process that opened it. In a process that was forked since, every call raises
    ConfigError, but for `close`, which has no effect.
    """

    def __init__(self, engine: Engine, defaults: Defaults) -> None:
        super().__init__(engine, defaults)
        self._is_plain = defaults.on_conflict == LATEST and defaults.serializer is None

    def __repr__(self) -> str:
        closed = ", closed" if self._engine.is_closed else ""
        return f"<Embedded store in {str(self._engine.store.directory.path)!r}{closed}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Make everything durable and free the directory. May be called again. Raises StorageError
        if the directory was removed, moved or replaced meanwhile."""
        self._engine.close()

    def get(
        self,
        key: str,
        default: Any = None,
        *,
        on_conflict: OnConflict | None = None,
        serializer: Serializing | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Any:
        """The value of `key`, or `default` if it has none.

        The JSON value null is None as well: give a default of your own to tell it from no value.
        If the key holds siblings, `on_conflict` says what is returned: "latest", the latest value
        by the clock; "raise" raises SiblingsFound; a function gets the list of all, the latest
        first. Left out it is the store's, "latest" unless that was opened with another.
        """
        if self._is_plain and on_conflict is None and serializer is None:
            record = self._engine.read(namespace, key)
            return value_in(record) if record.versions else default
        decide = self._defaults.deciding(on_conflict)
        try:
            entry = self.get_entry(key, serializer=serializer, namespace=namespace)
        except NotFound:
            return default
        return resolved(entry, decide)

    def get_entry(
        self,
        key: str,
        *,
        serializer: Serializing | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Entry:
        """The value of `key` with its version, clock and siblings. Raises NotFound."""
        by = self._defaults.serializing(serializer)
        record = self._engine.read(namespace, key)
        if not record.versions:
            raise no_such_key(key)
        return self._entries.entry(namespace, key, record).read_by(by)

    def set(
        self,
        key: str,
        value: Any,
        *,
        version: str | None = None,
        if_version: str | None = None,
        if_absent: bool = False,
        ttl: Ttl | None = None,
        expires_at: Moment | None = None,
        serializer: Serializing | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Entry:
        """Store `value` under `key`; returns the entry as it then is.

        With `version` (of a read) it replaces what that read saw, without it, all there is.
        Raises PreconditionFailed if the entry is at another version than `if_version`, or
        with `if_absent`, if there is one.

        It lives for `ttl` (seconds or a timedelta), or until `expires_at` (ms since 1970, or a
        datetime with a time zone); a ttl of 0 is for ever, and without either it is the
        namespace's. With a `serializer` the bytes that it makes of `value` are stored.
        """
        by = self._defaults.serializing(serializer)
        seen, expect = self._entries.condition(namespace, key, version, if_version)
        if if_absent:
            if expect == EXACT:
                raise RequestError("Both if_version and if_absent are given. Give one of them.")
            expect = ABSENT
        seconds, expires = DEFAULT
        if ttl is not None or expires_at is not None:
            seconds, expires = lifetime(*checked_lifetime(ttl, expires_at))
        kind, data = encoded(packed(value, by))
        put = Put(namespace, key, kind, data, seen, expect, 0, 0, "", seconds, expires)
        answer = self._engine.write(put)
        entry = self._entries.entry(namespace, key, answer.record, answer.created)
        return entry.read_by(by)

    def touch(
        self,
        key: str,
        ttl: Ttl | None = None,
        *,
        expires_at: Moment | None = None,
        version: str | None = None,
        if_version: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> int | None:
        """Let `key` live for `ttl` (seconds or a timedelta) from now, 0 for ever; or until
        `expires_at` (ms since 1970, or a datetime with a time zone).

        Returns when it expires (ms since 1970), None if never. Raises NotFound. `version` and
        `if_version` mean what they mean in `set`.
        """
        seen, expect = self._entries.condition(namespace, key, version, if_version)
        renewed = lifetime(*checked_renewal(ttl, expires_at))
        touch = Touch(namespace, key, *renewed, seen=seen, expect=expect)
        return self._ask(touch).expires_at

    def delete(
        self,
        key: str,
        *,
        version: str | None = None,
        if_version: str | None = None,
        serializer: Serializing | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Entry:
        """Delete `key`; returns the entry that was deleted. Raises NotFound. `version` and
        `if_version` mean what they mean in `set`."""
        by = self._defaults.serializing(serializer)
        condition = self._entries.condition(namespace, key, version, if_version)
        return self._ask(Delete(namespace, key, *condition)).read_by(by)

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


def _sound(result: Result) -> Entry:
    if isinstance(result, KvorumError):
        raise result
    return result

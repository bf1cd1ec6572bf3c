"""The embedded store: one node's engine inside a Python program, no server.

    with kvorum.open("data") as store:
        store.set("greeting", {"en": "hello"})
        store.get("greeting")

It is the same coordinator, records and files as `kvorum serve --data-dir data`, with N = 1;
only one of the two can have the directory open. Writes are synced before they return, a list
of them in one go. The methods are those of `kvorum.connect`.

It belongs to the process that opened it. A child that is forked inherits a copy whose every call
raises ConfigError, and that may be closed or forgotten without effect on the parent.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from kvorum.client.entry import ClockEntry, Entry, Sibling, value_or_error
from kvorum.client.lifetime import Ttl, checked_lifetime, seconds_of
from kvorum.client.listing import check_readable
from kvorum.client.url import check_is_text
from kvorum.client.values import encode_value
from kvorum.cluster.view import ClusterView
from kvorum.local_store import Holding, LocalStore, unreadable
from kvorum.model.errors import (
    ConfigError,
    CorruptRecord,
    KvorumError,
    NotFound,
    RequestError,
    StorageError,
)
from kvorum.model.record import BINARY, JSON, Context, Record, Version
from kvorum.model.request import (
    ABSENT,
    ANY,
    EXACT,
    Answer,
    Delete,
    Get,
    Listing,
    Put,
    Request,
    Touch,
)
from kvorum.model.sizes import parse_size
from kvorum.model.topology import DEFAULT_NAMESPACE, NamespaceSettings, Topology
from kvorum.namespaces import Namespaces
from kvorum.replication.replicator import Incarnation, Replicator
from kvorum.runtime.descriptors import descriptor_limit, engine_files
from kvorum.runtime.forks import left_to_parent
from kvorum.runtime.inline import InlineRuntime
from kvorum.sealing.master_key import parse_source
from kvorum.service.conditions import Condition
from kvorum.service.content_hash import content_hash
from kvorum.service.lifetimes import lifetime
from kvorum.service.limits import ServiceLimits
from kvorum.service.principal import LOCAL
from kvorum.service.reply import Reply
from kvorum.service.service import Service
from kvorum.service.version_string import subject_of
from kvorum.storage.actor_names import ActorNames
from kvorum.storage.budget import MEMORY_DEFAULT
from kvorum.storage.file_work import InlineFileWork
from kvorum.storage.syncer import InlineSyncer, Syncers
from kvorum.wire.messages import Message

_PAGE = 500
_BATCH = 1000
_SCRUB_PAUSE_S = 0.05

_LIMITS = ServiceLimits(value_bytes=sys.maxsize, nesting=sys.maxsize, in_flight=sys.maxsize)
"""A program may store in its own process whatever its memory holds. One call runs at a time."""

Result = Entry | KvorumError
_T = TypeVar("_T")


def _not_awaited(_error: StorageError) -> None:
    """What cannot be told now is told by the next write."""


def _scrub_pause_s(_records: int) -> float:
    return _SCRUB_PAUSE_S


class _NoPeers:
    """The Transport of a node that is alone."""

    def send(self, node: int, message: Message) -> None:
        raise AssertionError(f"no node {node} to send {message!r} to")

    def is_up(self, node: int) -> bool:
        return False


def open(  # noqa: A001  as gzip.open
    path: str | Path, *, master_key: str | None = None, memory: int | str = MEMORY_DEFAULT
) -> Embedded:
    """Open or create the store in the directory `path`. Raises ConfigError, StorageError.

    `master_key` says where the key is that wraps all others: "file:PATH", "env:NAME" or
    "command:PROGRAM ARGUMENTS". Left out it is the file `master.key` in the directory.
    `memory` is what caches and buffers may take together, in bytes or as in "512MB".
    """
    if not os.fspath(path):
        raise ConfigError("The path of the store is empty. Name a directory, '.' for this one.")
    source = None if master_key is None else parse_source(master_key)
    size = parse_size(memory) if isinstance(memory, str) else memory
    files = engine_files(descriptor_limit())
    return Embedded(Holding(Path(path), source, size, files, own_catalog=True))


class Embedded:
    """May be shared by threads: one call runs at a time."""

    def __init__(self, holding: Holding) -> None:
        topology = Topology.single()
        (local,) = topology.numbers
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
        runtime = self._runtime = InlineRuntime()
        # If the store fails, every later write says it.
        syncers = Syncers(InlineSyncer(runtime.call_soon), InlineSyncer(runtime.call_soon))
        try:
            store = LocalStore(topology, local, holding, runtime, syncers, _not_awaited)
        except ConfigError as error:
            raise error from None  # It says itself what its cause was.
        self._store = store
        left_to_parent(self)
        try:
            self._unlock()
            view = ClusterView(topology, local, store.catalog)
            view.subscribe(store.namespaces.change)
            self._namespaces = Namespaces(view, store.namespaces, runtime)
            self._replicator = Replicator(
                view,
                runtime,
                _NoPeers(),
                store.store,
                Incarnation(
                    store.directory.actor,
                    store.directory.counter,
                    shredded_since=store.shredded_since,
                ),
            )
            files = InlineFileWork(store.rocks, runtime.call_soon)
            _, self._scrub = store.tend(files, _scrub_pause_s, self._replicator.recount)
        except BaseException as error:
            store.release()
            if isinstance(error, CorruptRecord):
                raise unreadable(holding.path, error) from error
            raise
        names = ActorNames(store.directory, topology.node(local).name)
        self._service = Service(self._replicator, topology.secret, names, _LIMITS)

    def _unlock(self) -> None:
        errors: list[KvorumError | None] = []
        self._store.unlock(errors.append)
        while not errors:
            self._runtime.turn()
        if errors[0] is not None:
            raise errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Make everything durable and free the directory. May be called again.

        In a process that was forked since, it does nothing. Raises StorageError if the directory
        was removed, moved or replaced meanwhile.
        """
        if self._pid != os.getpid():
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._scrub.stop()
                self._store.close(self._replicator.counter)
            finally:
                self._store.release()

    def get(self, key: str, default: Any = None, *, namespace: str = DEFAULT_NAMESPACE) -> Any:
        """The value of `key`, or `default` if it has none."""
        try:
            return self.get_entry(key, namespace=namespace).value
        except NotFound:
            return default

    def get_entry(self, key: str, *, namespace: str = DEFAULT_NAMESPACE) -> Entry:
        """The value of `key` with its version, clock and siblings. Raises NotFound."""
        return _sound(self.get_entries([key], namespace=namespace)[0])

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
        """Store `value` under `key`, durably; returns the entry as it then is.

        With `version` it replaces what that version covers. With `if_version` or `if_absent`
        it is stored only if the key is still so, else PreconditionFailed. It lives for `ttl`,
        seconds or a timedelta, or until `expires_at` (ms since 1970); without either, or with a
        ttl of 0, for ever.
        """
        seen, expect = self._condition(key, version, if_version, namespace)
        if if_absent:
            if expect == EXACT:
                raise RequestError("wanted one of if_version and if_absent, got both")
            expect = ABSENT
        seconds, expires = lifetime(*checked_lifetime(ttl, expires_at))
        put = msgspec.structs.replace(
            _put(namespace, key, value), seen=seen, expect=expect, ttl=seconds, expires=expires
        )
        return _sound(self._entry(put, self._ask([put])[0]))

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

        Returns when it expires (ms since 1970), None if never. Raises NotFound.
        """
        seen, expect = self._condition(key, version, if_version, namespace)
        touch = Touch(namespace, key, *lifetime(seconds_of(ttl), None), seen=seen, expect=expect)
        return _sound(self._entry(touch, self._ask([touch])[0])).expires_at

    def delete(
        self,
        key: str,
        *,
        version: str | None = None,
        if_version: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> Entry:
        """Delete `key`; returns the entry that was deleted. Raises NotFound."""
        request = Delete(namespace, key, *self._condition(key, version, if_version, namespace))
        return _sound(self._entry(request, self._ask([request])[0]))

    def get_many(
        self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE
    ) -> dict[str, Any]:
        """The values of those `keys` that have one. Raises the first error met.

        What has a value that Python cannot hold gets an InvalidValue in its place.
        """
        wanted = list(keys)
        values: dict[str, Any] = {}
        for key, result in zip(wanted, self.get_entries(wanted, namespace=namespace), strict=True):
            if not isinstance(result, NotFound):
                values[key] = value_or_error(_sound(result))
        return values

    def get_entries(
        self, keys: Iterable[str], *, namespace: str = DEFAULT_NAMESPACE
    ) -> list[Result]:
        """For each of `keys`, in order, its Entry or the error (NotFound, ...) it met."""
        requests = [Get(namespace, key) for key in keys]
        results = self._ask(requests)
        return [
            self._entry(request, result) for request, result in zip(requests, results, strict=True)
        ]

    def set_many(
        self,
        items: Mapping[str, Any] | Iterable[tuple[str, Any]],
        *,
        ttl: Ttl | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> list[Result]:
        """Store each (key, value) with one sync for all; for each its Entry or its error."""
        pairs = items.items() if isinstance(items, Mapping) else items
        seconds = seconds_of(ttl)
        puts = [_put_or_error(namespace, key, value, seconds) for key, value in pairs]
        requests = [put for put in puts if isinstance(put, Put)]
        asked = iter(zip(requests, self._ask(requests), strict=True))
        return [put if isinstance(put, KvorumError) else self._entry(*next(asked)) for put in puts]

    def scan(self, namespace: str = DEFAULT_NAMESPACE) -> Iterator[Entry]:
        """All entries of a namespace, in the order of their tokens. Raises CorruptRecord behind the
        last one if some could not be read; its details name them.
        """
        cursor, unread = b"", []
        while True:
            page = self._page(namespace, cursor)
            for key, record in page.entries:
                yield self._shown(namespace, key, record)
            unread += page.unreadable
            cursor = page.cursor
            if not cursor:
                break
        check_readable(unread)

    # From here to the replicator, and back

    def _ask(self, requests: Sequence[Request]) -> list[Answer | KvorumError]:
        """The results of all `requests`. Those of one batch share what syncs they need."""
        results: list[Any] = [None] * len(requests)
        self._check_process()
        with self._lock:
            self._check_open()
            for first in range(0, len(requests), _BATCH):
                for index, request in enumerate(requests[first : first + _BATCH], first):
                    slot = _Slot(results, index)
                    try:
                        self._service.submit(LOCAL, request, slot)
                    except KvorumError as error:
                        slot.refuse(error)
                self._runtime.turn()
                self._check_directory()
                self._learn()
        return results

    def _learn(self) -> None:
        """Train a compression dictionary if one is due: once, and seldom again."""
        now = self._runtime.now()
        job = self._store.vault.job(now)
        if job is not None:
            self._store.vault.learned(job, job.learn(), now)

    def _page(self, namespace: str, cursor: bytes) -> Listing:
        answers: list[Any] = [None]
        self._check_process()
        with self._lock:
            self._check_open()
            self._service.scan(LOCAL, namespace, cursor, _PAGE, _Slot(answers, 0))
            self._runtime.turn()
        page: Listing | KvorumError = answers[0]
        return _sound(page)

    def orphaned(self) -> None:
        """In a child process: its copy of the lock must not outlive the parent."""
        self._store.directory.release()

    def _check_process(self) -> None:
        # Before the lock is taken, which a thread of the parent may have held during the fork.
        if self._pid != os.getpid():
            raise ConfigError(
                f"This store was opened before a fork, and belongs to process {self._pid}. Use it "
                "there, or run a server ('kvorum serve') and connect to it in each process."
            )

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError("This store is closed; open it again.")
        self._check_directory()

    def _check_directory(self) -> None:
        """Raises StorageError if it was found to be removed, moved or replaced."""
        lost = self._store.directory.watch.lost
        if lost is not None:
            raise lost

    def _condition(
        self, key: str, version: str | None, if_version: str | None, namespace: str
    ) -> Condition:
        if version is not None and if_version is not None:
            raise RequestError("wanted one of version and if_version, got both")
        text, expect = (version, ANY) if if_version is None else (if_version, EXACT)
        if text is None:
            return None, ANY
        subject = subject_of(namespace, key)
        return self._service.versions.read(subject, text), expect

    def _entry(self, request: Request, result: Answer | KvorumError) -> Result:
        if isinstance(result, KvorumError):
            return result
        if not result.record.versions and isinstance(request, Delete):
            return self._unread(request, result.record)
        if not result.record.versions:
            return NotFound(f"wanted the key {request.key!r}, got none with that name")
        return self._shown(request.namespace, request.key, result.record, result.created)

    def _unread(self, request: Delete, tombstone: Record) -> Entry:
        """For a key that was deleted though its value could not be read."""
        subject = subject_of(request.namespace, request.key)
        return Entry(
            request.key,
            b"null",
            version=self._service.versions.write(subject, tombstone.context),
            clock=self._clock(tombstone.context),
            unread=True,
        )

    def _shown(self, namespace: str, key: str, record: Record, created: bool = False) -> Entry:
        subject = subject_of(namespace, key)
        live = record.live_versions()
        siblings = [self._sibling(subject, version) for version in live]
        return Entry(
            key,
            siblings[0].json,
            binary=siblings[0].binary,
            version=self._service.versions.write(subject, record.context),
            clock=self._clock(record.context),
            hash=siblings[0].hash,
            siblings=tuple(siblings) if len(siblings) > 1 else (),
            created=created,
            expires_at=siblings[0].expires_at,
        )

    def _sibling(self, subject: bytes, version: Version) -> Sibling:
        binary = version.kind == BINARY
        return Sibling(
            encode_value(version.value).json if binary else version.value,
            binary=binary,
            clock=self._clock((version.dot,)),
            hash=content_hash(subject, version.value),
            expires_at=version.expires or None,
        )

    def _clock(self, context: Context) -> tuple[ClockEntry, ...]:
        return tuple(
            ClockEntry(self._service.actor_name(event.actor), event.counter, event.timestamp)
            for event in context
        )

    # Namespaces

    def namespaces(self) -> dict[str, NamespaceSettings]:
        """The settings of each namespace, by name."""
        with self._changing():
            return dict(self._namespaces.catalog.namespaces)

    def create_namespace(self, name: str, **settings: Any) -> NamespaceSettings:
        """Make the namespace `name`, durably; nothing is done if there is one with these settings.

        `settings` are those of a cluster file, such as ttl=60, compression="off" or durability=
        "none" with max_memory. Raises RequestError, also if there is one with other settings.
        """
        check_is_text(name)
        with self._changing():
            self._namespaces.create(name, settings)
            return self._namespaces.catalog.settings(name)

    def alter_namespace(self, name: str, **settings: Any) -> NamespaceSettings:
        """Change these settings of the namespace `name`. Raises NamespaceNotFound, RequestError."""
        check_is_text(name)
        with self._changing():
            self._namespaces.catalog.settings(name)
            self._namespaces.put(name, settings)
            return self._namespaces.catalog.settings(name)

    def drop_namespace(self, name: str) -> None:
        """End the namespace `name`: all that is in it is gone for good. Raises NamespaceNotFound,
        and RequestError for the default one.
        """
        check_is_text(name)
        errors: list[StorageError | None] = []
        with self._changing():
            self._namespaces.drop(name, None, None, errors.append)
            self._turn_until(errors)
            removals = self._store.namespaces.removals
            if name in removals and not self._store.rocks.full:
                self._store.namespaces.remove_now([name], errors.append)
                self._turn_until(errors)

    def _turn_until(self, errors: list[StorageError | None]) -> None:
        """Until it has ended; raises what it has ended with."""
        while not errors:
            self._runtime.turn()
        error = errors.pop()
        if error is not None:
            raise error

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self._check_process()
        with self._lock:
            self._check_open()
            yield
            self._runtime.turn()


class _Slot(Reply[Any]):
    """Where one result of several belongs."""

    __slots__ = ("_index", "_results")

    def __init__(self, results: list[Any], index: int) -> None:
        self._results = results
        self._index = index

    def answer(self, result: object) -> None:
        self._results[self._index] = result

    def refuse(self, error: KvorumError) -> None:
        self._results[self._index] = error


def _put(namespace: str, key: str, value: Any) -> Put:
    """Bytes are stored as they are, anything else as JSON. Raises InvalidValue."""
    if isinstance(value, bytes | bytearray | memoryview):
        return Put(namespace, key, BINARY, bytes(value))
    return Put(namespace, key, JSON, encode_value(value).json)


def _put_or_error(namespace: str, key: str, value: Any, ttl: int | None) -> Put | KvorumError:
    try:
        return msgspec.structs.replace(_put(namespace, key, value), ttl=ttl)
    except KvorumError as error:
        return error


def _sound(result: _T | KvorumError) -> _T:
    if isinstance(result, KvorumError):
        raise result
    return result

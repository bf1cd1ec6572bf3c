"""The engine of an embedded store: one node without peers, that works while it is called.

It is the same coordinator, records and files as those of a server. The syncers wait for the disk
in the call that writes, and timers run when they are due during a call.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from kvorum.cluster.view import ClusterView
from kvorum.local_store import Holding, LocalStore, unreadable
from kvorum.model.errors import ConfigError, CorruptRecord, KvorumError, StorageError
from kvorum.model.request import Answer, Listing, Request, Selection
from kvorum.model.topology import Topology
from kvorum.namespaces import Namespaces
from kvorum.replication.replicator import Incarnation, Replicator
from kvorum.runtime.forks import left_to_parent
from kvorum.runtime.inline import InlineRuntime
from kvorum.service.limits import ServiceLimits
from kvorum.service.principal import LOCAL
from kvorum.service.reply import Reply
from kvorum.service.service import Service
from kvorum.storage.actor_names import ActorNames
from kvorum.storage.file_work import InlineFileWork
from kvorum.storage.syncer import InlineSyncer, Syncers
from kvorum.wire.messages import Message

_BATCH: Final = 1000
_SCRUB_PAUSE_S: Final = 0.05

_LIMITS: Final = ServiceLimits(value_bytes=sys.maxsize, nesting=sys.maxsize, in_flight=sys.maxsize)
"""A program may store whatever its memory holds. One call runs at a time."""


class Engine:
    """The node of one embedded store. May be shared by threads: one call runs at a time."""

    def __init__(self, holding: Holding) -> None:
        """Open or create the store. Raises ConfigError or StorageError."""
        topology = Topology.single()
        (local,) = topology.numbers
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
        runtime = self.runtime = InlineRuntime()
        # If the store fails, every later write says so.
        syncers = Syncers(InlineSyncer(runtime.call_soon), InlineSyncer(runtime.call_soon))
        try:
            store = LocalStore(topology, local, holding, runtime, syncers, _ignore)
        except ConfigError as error:
            raise error from None  # Its message includes the cause.
        self.store = store
        left_to_parent(self)
        try:
            self._turn_until(store.unlock)
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
            self._replicator.pace.never_pause()
            files = InlineFileWork(store.rocks, runtime.call_soon)
            _, self._scrub = store.tend(files, _scrub_pause_s, self._replicator.recount)
        except BaseException as error:
            store.release()
            if isinstance(error, CorruptRecord):
                raise unreadable(holding.path, error) from error
            raise
        names = ActorNames(store.directory, topology.node(local).name)
        self.service = Service(self._replicator, topology.secret, names, _LIMITS)

    def close(self) -> None:
        """Make everything durable and free the directory. Raises StorageError if that was lost."""
        if self._pid != os.getpid():
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._scrub.stop()
                self.store.close(self._replicator.counter)
            finally:
                self.store.release()

    def ask(self, requests: Sequence[Request]) -> list[Answer | KvorumError]:
        """The answers to all `requests`, or their errors. Those of one batch share their syncs."""
        results: list[Any] = [None] * len(requests)
        with self._opened():
            for first in range(0, len(requests), _BATCH):
                for index, request in enumerate(requests[first : first + _BATCH], first):
                    slot = _Slot(results, index)
                    try:
                        self.service.submit(LOCAL, request, slot)
                    except KvorumError as error:
                        slot.refuse(error)
                self.runtime.turn()
                self._check_directory()
                self._train()
        return results

    def page(self, selection: Selection) -> Listing:
        """A page of a listing."""
        pages: list[Any] = [None]
        with self._opened():
            self.service.scan(LOCAL, selection, _Slot(pages, 0))
            self.runtime.turn()
        page: Listing | KvorumError = pages[0]
        if isinstance(page, KvorumError):
            raise page
        return page

    @contextmanager
    def namespaces(self) -> Iterator[Namespaces]:
        """The namespaces, to be read or changed in the block."""
        with self._opened():
            yield self._namespaces
            self.runtime.turn()

    def drop_namespace(self, name: str) -> None:
        """Drop a namespace, and delete its unencrypted records now if the disk has space."""
        with self.namespaces() as namespaces:
            self._turn_until(lambda done: namespaces.drop(name, None, None, done))
            local = self.store.namespaces
            if name in local.removals and not self.store.rocks.full:
                self._turn_until(lambda done: local.removing.delete_now([name], done))

    def orphaned(self) -> None:
        """In a child process: its copy of the directory's lock must not outlive the parent."""
        self.store.directory.release()

    def _turn_until(
        self, begin: Callable[[Callable[[KvorumError | None], object]], object]
    ) -> None:
        """`begin(done)`, and run until `done(error)` is called; raises the error."""
        errors: list[KvorumError | None] = []
        begin(errors.append)
        while not errors:
            self.runtime.turn()
        if errors[0] is not None:
            raise errors[0]

    def _train(self) -> None:
        """Train a compression dictionary if that is due, which is seldom."""
        now = self.runtime.now()
        job = self.store.vault.training_job(now)
        if job is not None:
            self.store.vault.trained(job, job.run(), now)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        # Before the lock is taken, which a thread of the parent may have held during the fork.
        if self._pid != os.getpid():
            raise ConfigError(
                f"This store was opened before a fork, and belongs to process {self._pid}. Use it "
                "there, or run a server ('kvorum serve') and connect to it in each process."
            )
        with self._lock:
            if self._closed:
                raise ConfigError("This store is closed. Open it again.")
            self._check_directory()
            yield

    def _check_directory(self) -> None:
        """Raises StorageError if the directory was removed, moved or replaced."""
        lost = self.store.directory.watch.lost
        if lost is not None:
            raise lost


class _NoPeers:
    """The Transport of a node without peers."""

    def send(self, node: int, message: Message) -> None:
        raise AssertionError(f"no node {node} to send {message!r} to")

    def is_up(self, node: int) -> bool:
        return False


class _Slot(Reply[Any]):
    """The place of one result in a list."""

    __slots__ = ("_index", "_results")

    def __init__(self, results: list[Any], index: int) -> None:
        self._results = results
        self._index = index

    def answer(self, result: object) -> None:
        self._results[self._index] = result

    def refuse(self, error: KvorumError) -> None:
        self._results[self._index] = error


def _ignore(_error: StorageError) -> None:
    """The next write raises it."""


def _scrub_pause_s(_records: int) -> float:
    return _SCRUB_PAUSE_S

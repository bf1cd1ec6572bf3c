"""The client for ordinary programs: the asynchronous client behind blocking methods.

    with kvorum.connect("kvorum://127.0.0.1:7400,127.0.0.1:7401") as store:
        store.set("greeting", {"en": "hello"})
        store.get("greeting")

The calls of all threads run on one event loop in a background thread, so a client may be
shared by threads. It does not survive a fork: connect again in each process.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from kvorum.client.answers import Result
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.entry import Entry
from kvorum.client.lifetime import Ttl
from kvorum.client.listing import Page, check_readable
from kvorum.client.loop_thread import LoopThread
from kvorum.client.requests import Lifetime, Request
from kvorum.client.url import DEFAULT_URL, Target, parse_url
from kvorum.model.request import Unreadable
from kvorum.model.topology import QuorumKind


def connect(url: str = DEFAULT_URL) -> Client:
    """A client of the cluster at `url`. Raises ConfigError if that is not a kvorum URL."""
    return Client(parse_url(url))


class Client:
    """Every method takes `timeout`, the seconds the whole call may last, and `namespace`."""

    def __init__(self, target: Target) -> None:
        self._async = AsyncClient(target)
        self._background = LoopThread("kvorum-client")
        self._end = weakref.finalize(self, _end, os.getpid(), self._background, self._async)

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
        """Close the connections and end the background thread; calls in flight fail."""
        closing = self._end()
        if closing is not None:
            closing.result()
            self._background.join()

    def get(
        self,
        key: str,
        default: Any = None,
        *,
        namespace: str | None = None,
        r: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> Any:
        """The value of `key`, or `default` if it has none."""
        return self._background.run(
            self._async.get(key, default, namespace=namespace, r=r, quorum=quorum, timeout=timeout)
        )

    def get_entry(
        self,
        key: str,
        *,
        namespace: str | None = None,
        r: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> Entry:
        """The value of `key` with its version, clock and siblings. Raises NotFound."""
        return self._background.run(
            self._async.get_entry(key, namespace=namespace, r=r, quorum=quorum, timeout=timeout)
        )

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
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> Entry:
        """Store `value` under `key`; returns the entry as it then is.

        With `version` (of a read) it replaces what that read saw, and what was written
        since stays beside it as a sibling. Without, it replaces all the cluster knows of.
        Raises PreconditionFailed if the entry is at another version than `if_version`, or
        with `if_absent`, if there is one.

        It lives for `ttl` (seconds or a timedelta), or until `expires_at` (ms since 1970); a ttl of
        0 is for ever, and without either it is the namespace's.
        """
        return self._background.run(
            self._async.set(
                key,
                value,
                version=version,
                if_version=if_version,
                if_absent=if_absent,
                ttl=ttl,
                expires_at=expires_at,
                namespace=namespace,
                w=w,
                quorum=quorum,
                timeout=timeout,
            )
        )

    def touch(
        self,
        key: str,
        ttl: Ttl,
        *,
        version: str | None = None,
        if_version: str | None = None,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> int | None:
        """Let `key` live for `ttl` (seconds or a timedelta) from now, 0 for ever.

        Returns when it expires (ms since 1970), None if never. Raises NotFound. `version` and
        `if_version` mean what they mean in `set`.
        """
        return self._background.run(
            self._async.touch(
                key,
                ttl,
                version=version,
                if_version=if_version,
                namespace=namespace,
                w=w,
                quorum=quorum,
                timeout=timeout,
            )
        )

    def delete(
        self,
        key: str,
        *,
        version: str | None = None,
        if_version: str | None = None,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> Entry:
        """Delete `key`; returns the entry that was deleted. Raises NotFound.

        `version` and `if_version` mean what they mean in `set`.
        """
        return self._background.run(
            self._async.delete(
                key,
                version=version,
                if_version=if_version,
                namespace=namespace,
                w=w,
                quorum=quorum,
                timeout=timeout,
            )
        )

    def get_many(
        self,
        keys: Iterable[str],
        *,
        namespace: str | None = None,
        r: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """The values of those `keys` that have one. Raises the first error met.

        What has a value that Python cannot hold gets an InvalidValue in its place.
        """
        return self._background.run(
            self._async.get_many(
                list(keys), namespace=namespace, r=r, quorum=quorum, timeout=timeout
            )
        )

    def get_entries(
        self,
        keys: Iterable[str],
        *,
        namespace: str | None = None,
        r: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        """For each of `keys`, in order, its Entry or the error (NotFound, ...) it met."""
        return self._background.run(
            self._async.get_entries(
                list(keys), namespace=namespace, r=r, quorum=quorum, timeout=timeout
            )
        )

    def set_many(
        self,
        items: Mapping[str, Any] | Iterable[tuple[str, Any]],
        *,
        ttl: Ttl | None = None,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        """Store each (key, value); for each, in order, its Entry or the error it met.

        They are stored one by one, not as a transaction, and not in order: of a key that
        occurs twice either value may remain. `ttl` means what it means in `set`.
        """
        pairs = list(items.items() if isinstance(items, Mapping) else items)
        return self._background.run(
            self._async.set_many(
                pairs, ttl=ttl, namespace=namespace, w=w, quorum=quorum, timeout=timeout
            )
        )

    def set_each(
        self,
        items: Iterable[tuple[str, Any, Lifetime]],
        *,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        """`set_many` of entries that each have their own lifetime."""
        each = list(items)
        return self._background.run(
            self._async.set_each(each, namespace=namespace, w=w, quorum=quorum, timeout=timeout)
        )

    def scan(
        self, namespace: str | None = None, *, timeout: float | None = None
    ) -> Iterator[Entry]:
        """All entries of a namespace, in the order of their tokens, page by page.

        What is written meanwhile may or may not be seen. `timeout` is for each page. Raises
        CorruptRecord behind the last entry if some could not be read; its details name them.
        """
        cursor: str | None = None
        unreadable: list[Unreadable] = []
        while True:
            page = self.page(namespace, cursor, timeout=timeout)
            yield from page.entries
            unreadable += page.unreadable
            cursor = page.cursor
            if cursor is None:
                break
        check_readable(unreadable)

    def page(
        self,
        namespace: str | None = None,
        cursor: str | None = None,
        *,
        timeout: float | None = None,
    ) -> Page:
        """One page of `scan` from `cursor` on."""
        return self._background.run(self._async.page(namespace, cursor, timeout=timeout))

    def namespaces(self, *, timeout: float | None = None) -> dict[str, dict[str, Any]]:
        """The settings of each namespace by name, as the server that answers has them."""
        return self._background.run(self._async.namespaces(timeout=timeout))

    def create_namespace(self, name: str, **settings: Any) -> None:
        """Make a namespace on every node; nothing is done where it is with these settings.

        `settings` are those of a cluster file; those left out are as on the nodes that have it, or
        else the usual ones. All nodes must be up. If one fails in the middle,
        an UnavailableError says which have it; the same call then ends what it began.
        """
        self._background.run(self._async.create_namespace(name, **settings))

    def alter_namespace(self, name: str, **settings: Any) -> None:
        """Change settings of a namespace on every node, as `create_namespace` does."""
        self._background.run(self._async.alter_namespace(name, **settings))

    def drop_namespace(self, name: str) -> None:
        """End a namespace on every node, and destroy for good all that it holds."""
        self._background.run(self._async.drop_namespace(name))

    def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """The cluster as the server that answers sees it."""
        return self._background.run(self._async.status(timeout=timeout))

    def ring(self, *, timeout: float | None = None) -> dict[str, Any]:
        """How the partitions are shared among the nodes."""
        return self._background.run(self._async.ring(timeout=timeout))

    def locate(
        self, key: str, *, namespace: str | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Where `key` lives, and which of its replicas has what."""
        return self._background.run(self._async.locate(key, namespace=namespace, timeout=timeout))

    def begin_repair(
        self,
        *,
        namespace: str | None = None,
        partition: int | None = None,
        key: str | None = None,
        full: bool = False,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Have replicas compared and made equal: all, or of one namespace, partition or key.

        `full` compares every key. Only the server that answers knows how the repair gets on.
        """
        return self._background.run(
            self._async.begin_repair(
                namespace=namespace, partition=partition, key=key, full=full, timeout=timeout
            )
        )

    def ask(self, request: Request, *, timeout: float | None = None) -> dict[str, Any]:
        """The document that answers a request for which there is no method here."""
        return self._background.run(self._async.ask(request, timeout=timeout))

    def repair_progress(self, number: str, *, timeout: float | None = None) -> dict[str, Any]:
        """How far the repair with the id `number` is."""
        return self._background.run(self._async.repair_progress(number, timeout=timeout))


def _end(pid: int, background: LoopThread, client: AsyncClient) -> Future[None] | None:
    """Also runs when a client is collected unclosed, and at exit; a fork has nothing to end."""
    return background.stop_after(client.close()) if os.getpid() == pid else None

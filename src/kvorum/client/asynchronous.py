"""The client for asyncio programs.

    async with kvorum.aio.connect("kvorum://127.0.0.1:7400,127.0.0.1:7401") as store:
        await store.set("greeting", {"en": "hello"})
        await store.get("greeting")

Connecting is lazy: the first call opens the first connection. A client belongs to the event
loop of its first call and may be used by any number of that loop's tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, Self, Unpack

from kvorum.client import answers, namespace_changes, node_requests, requests
from kvorum.client.answers import Result, read_by
from kvorum.client.composed import Composed
from kvorum.client.each_node import EachNode
from kvorum.client.entry import Entry
from kvorum.client.environment import target_of
from kvorum.client.lifetime import Moment, Ttl, checked_lifetime
from kvorum.client.many_keys import ManyKeys
from kvorum.client.options import Keywords, check_namespace
from kvorum.client.questions import finding, keys_of, pairs_of, put_of, puts_of, storing
from kvorum.client.requests import Lifetime, Request
from kvorum.client.security_calls import SecurityCalls
from kvorum.client.serializers import Serializing, packed
from kvorum.client.url import Target, parse_servers
from kvorum.documents.node import Members
from kvorum.documents.reading import read
from kvorum.model.topology import QuorumKind


def connect(url: str | None = None, **options: Unpack[Keywords]) -> AsyncClient:
    """A client of the cluster at `url`: a kvorum URL, HOST or HOST:PORT, or several of these with
    commas between. None: as the environment variable KVORUM_SERVER says, or the current context
    of `kvorum context`, or else 127.0.0.1:7400.

    `options`: namespace, timeout, r, w, quorum, connections, retries, backoff, backoff_max,
    retry_unknown, on_conflict, serializer; for kvorums:// ca, cert, key, token, token_file, user,
    password. They count for more than those of the URL. Raises ConfigError, which names what is
    wrong.
    """
    return AsyncClient(target_of(url, options))


class AsyncClient(ManyKeys, Composed, SecurityCalls):
    """A client of a cluster, in one event loop. Every method takes `namespace`, and `timeout`: how
    many seconds the whole call may last."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._target}{', closed' * self._calls.is_closed}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; calls in flight fail."""
        await self._calls.close()

    async def get_entry(
        self,
        key: str,
        *,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        r: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> Entry:
        """The value of `key` with its version, clock and siblings. Raises NotFound."""
        by = self._defaults.serializing(serializer)
        request = requests.get(key, self._namespace(namespace), r, quorum)
        answer = await self._calls.call(request, self._deadline(timeout))
        return answers.found(key, answer).read_by(by)

    async def set(
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
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        retry_unknown: bool | None = None,
        timeout: float | None = None,
    ) -> Entry:
        """Store `value` under `key`; returns the entry as it then is.

        With `version` (of a read) it replaces what that read saw, and what was written
        since stays beside it as a sibling. Without, it replaces all the cluster knows of.
        Raises PreconditionFailed if the entry is at another version than `if_version`, or
        with `if_absent`, if there is one.

        It lives for `ttl` (seconds or a timedelta), or until `expires_at` (ms since 1970, or a
        datetime with a time zone); a ttl of 0 is for ever, and without either it is the
        namespace's. With a `serializer` the bytes that it makes of `value` are stored.
        `retry_unknown`: look up what became of a write without an answer, and repeat it if that is
        safe.
        """
        by = self._defaults.serializing(serializer)
        about = requests.Subject(self._namespace(namespace), key, blind=version is None)
        put = put_of(
            key,
            packed(value, by),
            version,
            about.namespace,
            Lifetime(*checked_lifetime(ttl, expires_at)),
        )
        condition = requests.condition(if_version, if_absent)
        request = requests.put(about, put.body, w, quorum, condition)
        answer = await self._write(request, retry_unknown, timeout)
        return answers.written(key, put.text, answer).read_by(by)

    async def touch(
        self,
        key: str,
        ttl: Ttl | None = None,
        *,
        expires_at: Moment | None = None,
        version: str | None = None,
        if_version: str | None = None,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        retry_unknown: bool | None = None,
        timeout: float | None = None,
    ) -> int | None:
        """Let `key` live for `ttl` (seconds or a timedelta) from now, 0 for ever; or until
        `expires_at` (ms since 1970, or a datetime with a time zone).

        Returns when it expires (ms since 1970), None if never. Raises NotFound. `version`,
        `if_version` and `retry_unknown` mean what they mean in `set`.
        """
        condition = requests.condition(if_version)
        space = self._namespace(namespace)
        request = requests.touch(
            key, version, Lifetime(*checked_lifetime(ttl, expires_at)), space, w, quorum, condition
        )
        return answers.touched(await self._write(request, retry_unknown, timeout))

    async def delete(
        self,
        key: str,
        *,
        version: str | None = None,
        if_version: str | None = None,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        retry_unknown: bool | None = None,
        timeout: float | None = None,
    ) -> Entry:
        """Delete `key`; returns the entry that was deleted. Raises NotFound. `version`,
        `if_version` and `retry_unknown` mean what they mean in `set`."""
        by = self._defaults.serializing(serializer)
        condition = requests.condition(if_version)
        request = requests.delete(key, version, self._namespace(namespace), w, quorum, condition)
        answer = await self._write(request, retry_unknown, timeout)
        return answers.found(key, answer).read_by(by)

    async def get_entries(
        self,
        keys: Iterable[str],
        *,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        r: int | None = None,
        quorum: QuorumKind | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        """For each of `keys`, in order, its Entry or the error (NotFound, ...) it met."""
        by = self._defaults.serializing(serializer)
        question = finding(self._namespace(namespace), r, quorum)
        return read_by(by, await self._ask(question, keys_of(keys), timeout))

    async def set_many(
        self,
        items: Mapping[str, Any] | Iterable[tuple[str, Any]],
        *,
        ttl: Ttl | None = None,
        expires_at: Moment | None = None,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        retry_unknown: bool | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        """Store each (key, value); for each, in order, its Entry or the error it met.

        They are stored one by one, not as a transaction, and not in order: of a key that
        occurs twice either value may remain. `ttl`, `expires_at` and
        `retry_unknown` mean what they mean in `set`.
        """
        lifetime = Lifetime(*checked_lifetime(ttl, expires_at))
        each = [(key, value, lifetime) for key, value in pairs_of(items)]
        return await self.set_each(
            each,
            serializer=serializer,
            namespace=namespace,
            w=w,
            quorum=quorum,
            retry_unknown=retry_unknown,
            timeout=timeout,
        )

    async def set_each(
        self,
        items: Iterable[tuple[str, Any, Lifetime]],
        *,
        serializer: Serializing | None = None,
        namespace: str | None = None,
        w: int | None = None,
        quorum: QuorumKind | None = None,
        retry_unknown: bool | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        """`set_many` of entries that each have their own lifetime."""
        by = self._defaults.serializing(serializer)
        space = self._namespace(namespace)
        retrying = self._retries_unknown(retry_unknown)
        question, puts = storing(space, w, quorum), puts_of(items, space, by)
        return read_by(by, await self._ask(question, puts, timeout, retry_unknown=retrying))

    async def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """The cluster as the server that answers sees it."""
        return await self._document(requests.status(), timeout)

    async def ring(self, *, timeout: float | None = None) -> dict[str, Any]:
        """How the partitions are shared among the nodes."""
        return await self._document(requests.ring(), timeout)

    async def locate(
        self, key: str, *, namespace: str | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Where `key` lives, and which of its replicas has what."""
        return await self._document(requests.locate(key, self._namespace(namespace)), timeout)

    async def begin_repair(
        self,
        *,
        namespace: str | None = None,
        partition: int | None = None,
        key: str | None = None,
        full: bool = False,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Have replicas compared and made equal: all, or those of one namespace, partition or key.
        `full` compares every key. Only the server that answers knows how the repair gets on."""
        request = requests.begin_repair(namespace, partition, key, full=full)
        return await self._document(request, timeout)

    async def repair_progress(self, number: str, *, timeout: float | None = None) -> dict[str, Any]:
        """How far the repair with the id `number` is."""
        return await self._document(requests.repair_progress(number), timeout)

    async def ask(self, request: Request, *, timeout: float | None = None) -> dict[str, Any]:
        """The document that answers a request for which there is no method here."""
        return await self._document(request, timeout)

    # Namespaces, which all nodes have to have alike

    async def namespaces(self, *, timeout: float | None = None) -> dict[str, dict[str, Any]]:
        """The settings of each namespace by name, as the server that answers has them."""
        document = await self._document(node_requests.namespaces(), timeout)
        found: dict[str, dict[str, Any]] = document["namespaces"]
        return found

    async def create_namespace(self, /, name: str, **settings: Any) -> None:
        """Make a namespace on every node; nothing is done where it is with these settings.

        `settings` are those of a cluster file; those left out are as on the nodes that have it, or
        else the usual ones. All nodes must be up. If one fails in the middle,
        an UnavailableError says which have it; the same call then ends what it began.
        """
        async with self._each_node(name) as nodes:
            await namespace_changes.create(nodes, name, settings)

    async def alter_namespace(self, /, name: str, **settings: Any) -> None:
        """Change settings of a namespace on every node, as `create_namespace` does."""
        async with self._each_node(name) as nodes:
            await namespace_changes.alter(nodes, name, settings)

    async def drop_namespace(self, name: str) -> None:
        """End a namespace on every node, and destroy for good all that it holds."""
        async with self._each_node(name) as nodes:
            await namespace_changes.drop(nodes, name)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def _each_node(self, namespace: str) -> AsyncIterator[EachNode]:
        check_namespace(namespace)
        async with clients_of_nodes(self._target, await self.status()) as clients:
            yield EachNode({name: client.ask for name, client in clients.items()})


@asynccontextmanager
async def clients_of_nodes(
    target: Target, status: dict[str, Any]
) -> AsyncIterator[dict[str, AsyncClient]]:
    """A client for each node, by name, of the cluster that told `status`."""
    async with AsyncExitStack() as stack:
        clients: dict[str, AsyncClient] = {}
        for node in read(status, Members).nodes:
            client = AsyncClient(replace(target, servers=parse_servers(node.http)))
            clients[node.name] = await stack.enter_async_context(client)
        yield clients

"""The client for ordinary programs: the asynchronous client behind blocking methods.

    with kvorum.connect("kvorum://127.0.0.1:7400,127.0.0.1:7401") as store:
        store.set("greeting", {"en": "hello"})
        store.get("greeting")

The calls of all threads run on one event loop in a background thread, so a client may be
shared by threads. It does not survive a fork: connect again in each process.
"""

from __future__ import annotations

import functools
import inspect
import os
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from kvorum.client.asynchronous import AsyncClient
from kvorum.client.blocking import SHOWN_BY_HELP, BlockingStore, at_once
from kvorum.client.composed import Composed
from kvorum.client.defaults import defaults_of
from kvorum.client.environment import target_of
from kvorum.client.listing import several
from kvorum.client.loop_thread import LoopThread
from kvorum.client.options import Keywords
from kvorum.client.url import Target

_P = ParamSpec("_P")
_T = TypeVar("_T")


def connect(url: str | None = None, **options: Unpack[Keywords]) -> Client:
    """A client of the cluster at `url`: a kvorum URL, HOST or HOST:PORT, or several of these with
    commas between. None: as the environment variable KVORUM_SERVER says, or the current context
    of `kvorum context`, or else 127.0.0.1:7400.

    `options`: namespace, timeout, r, w, quorum, connections, retries, backoff, backoff_max,
    retry_unknown, on_conflict, serializer; for kvorums:// ca, cert, key, token, token_file, user,
    password. They count for more than those of the URL. Raises ConfigError, which names what is
    wrong.
    """
    return Client(target_of(url, options))


def _blocking(
    method: Callable[Concatenate[AsyncClient, _P], Coroutine[Any, Any, _T]],
) -> Callable[Concatenate[Client, _P], _T]:
    """`method` of the asynchronous client, as one that returns when it is done."""

    @functools.wraps(method, assigned=SHOWN_BY_HELP)
    def blocking(self: Client, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return self._background.run(method(self._async, *args, **kwargs))

    blocking.__qualname__ = f"Client.{method.__name__}"
    return blocking


def _blocking_of_many(
    method: Callable[Concatenate[AsyncClient, _P], Coroutine[Any, Any, _T]],
) -> Callable[Concatenate[Client, _P], _T]:
    """The same of a method whose first argument is an iterable: it is read on the caller's thread,
    for it may be a generator that calls the client itself."""
    _, many, *_ = inspect.signature(method).parameters
    of_any: Callable[..., Coroutine[Any, Any, _T]] = method

    @functools.wraps(method, assigned=SHOWN_BY_HELP)
    def blocking(self: Client, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        given: list[Any] = list(args)
        named: dict[str, Any] = dict(kwargs)
        if given:
            given[0] = _read(given[0])
        elif many in named:
            named[many] = _read(named[many])
        return self._background.run(of_any(self._async, *given, **named))

    blocking.__qualname__ = f"Client.{method.__name__}"
    return blocking


def _read(items: Iterable[Any]) -> Iterable[Any]:
    return dict(items) if isinstance(items, Mapping) else several(items)


class Client(BlockingStore):
    """A client of a cluster, which threads may share. Every method takes `namespace`, and
    `timeout`: how many seconds the whole call may last."""

    def __init__(self, target: Target) -> None:
        self._async = AsyncClient(target)
        self._defaults = defaults_of(target)
        self._background = LoopThread("kvorum-client")
        self._end = weakref.finalize(self, _end, os.getpid(), self._background, self._async)

    def __repr__(self) -> str:
        return repr(self._async).replace("AsyncClient", "Client", 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the background thread; calls in flight fail."""
        closing = self._end()
        if closing is not None:
            closing.result()
            self._background.join()

    get = at_once(Composed.get)
    get_entry = _blocking(AsyncClient.get_entry)
    set = _blocking(AsyncClient.set)
    touch = _blocking(AsyncClient.touch)
    delete = _blocking(AsyncClient.delete)
    get_entries = _blocking_of_many(AsyncClient.get_entries)
    set_many = _blocking_of_many(AsyncClient.set_many)
    set_each = _blocking_of_many(AsyncClient.set_each)
    exists_each = _blocking_of_many(AsyncClient.exists_each)
    delete_many = _blocking_of_many(AsyncClient.delete_many)
    touch_many = _blocking_of_many(AsyncClient.touch_many)

    page = _blocking(AsyncClient.page)
    count_page = _blocking(AsyncClient.count_page)
    clear_page = _blocking(AsyncClient.clear_page)

    namespaces = _blocking(AsyncClient.namespaces)
    create_namespace = _blocking(AsyncClient.create_namespace)
    alter_namespace = _blocking(AsyncClient.alter_namespace)
    drop_namespace = _blocking(AsyncClient.drop_namespace)
    status = _blocking(AsyncClient.status)
    ring = _blocking(AsyncClient.ring)
    locate = _blocking(AsyncClient.locate)
    begin_repair = _blocking(AsyncClient.begin_repair)
    repair_progress = _blocking(AsyncClient.repair_progress)
    ask = _blocking(AsyncClient.ask)

    whoami = _blocking(AsyncClient.whoami)
    tokens = _blocking(AsyncClient.tokens)
    create_token = _blocking(AsyncClient.create_token)
    revoke_token = _blocking(AsyncClient.revoke_token)
    users = _blocking(AsyncClient.users)
    set_user = _blocking(AsyncClient.set_user)
    remove_user = _blocking(AsyncClient.remove_user)
    roles = _blocking(AsyncClient.roles)
    set_role = _blocking(AsyncClient.set_role)
    remove_role = _blocking(AsyncClient.remove_role)
    revocations = _blocking(AsyncClient.revocations)
    revoke_certificate = _blocking(AsyncClient.revoke_certificate)


def _end(pid: int, background: LoopThread, client: AsyncClient) -> Future[None] | None:
    """Also runs when a client is collected unclosed, and at exit; a fork has nothing to end."""
    return background.stop_after(client.close()) if os.getpid() == pid else None

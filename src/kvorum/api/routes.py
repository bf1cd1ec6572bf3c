"""The API's map: which handler answers which method on which path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.api.entries import ENTRY_PATH, TOUCH_BODY_BYTES, EntryHandlers
from kvorum.api.entry_lists import EntryListHandlers
from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.http.refusals import MethodNotAllowed, UnknownPath
from kvorum.api.http.router import Endpoint
from kvorum.api.introspection import LOCATE_PATH, IntrospectionHandlers
from kvorum.api.keys import KEYS_BODY_BYTES, Custody, KeyHandlers
from kvorum.api.limits import ApiLimits
from kvorum.api.namespaces import (
    NAMESPACE_BODY_BYTES,
    NAMESPACE_PATH,
    NamespaceHandlers,
    Namespaces,
)
from kvorum.api.ports import Coordinator, Introspection, Repairs
from kvorum.api.records import RECORDS_BODY_BYTES, RecordHandlers, Records
from kvorum.api.repairs import REPAIR_BODY_BYTES, REPAIR_PATH, RepairHandlers
from kvorum.api.snapshots import (
    SNAPSHOT_BODY_BYTES,
    SNAPSHOT_PATH,
    SnapshotHandlers,
    Snapshots,
)

_DROPPED_BODY_BYTES: Final = 64 << 10
"""How much body is read and dropped to say kindly that nothing is served there."""


class Resource(dict[bytes, Endpoint]):
    """What is at a path: an endpoint for each method it knows, and one for all others."""

    __slots__ = ("_not_allowed",)

    def __init__(self, endpoints: dict[bytes, Endpoint]) -> None:
        super().__init__(endpoints)
        self._not_allowed = Endpoint(_refuse_method(sorted(endpoints)), _DROPPED_BODY_BYTES)

    def __missing__(self, method: bytes) -> Endpoint:
        return self._not_allowed


class Routes:
    """Paths are matched whole, but for those that end with a name: there the start decides."""

    __slots__ = ("_named", "_prefixed", "_unknown", "_whole")

    def __init__(self, whole: dict[bytes, Resource]) -> None:
        self._whole = whole
        self._prefixed: list[tuple[bytes, Resource]] = []
        self._named: list[str] = []
        """The paths of `_prefixed`, as people are shown them."""
        self._unknown = Endpoint(self._refuse, _DROPPED_BODY_BYTES)

    def add(self, path: bytes, resource: Resource) -> None:
        self._whole[path] = resource

    def add_prefix(self, path: bytes, name: str, resource: Resource) -> None:
        """`name`: what follows on `path`."""
        self._prefixed.append((path, resource))
        self._named.append(f"{path.decode()}{{{name}}}")

    def resolve(self, method: bytes, path: bytes) -> Endpoint:
        found = self._whole.get(path)
        if found is not None:
            return found[method]
        for prefix, resource in self._prefixed:
            if path.startswith(prefix):
                return resource[method]
        return self._unknown

    def _refuse(self, exchange: Exchange) -> None:
        paths = sorted([path.decode() for path in self._whole] + self._named)
        raise UnknownPath(
            f"wanted one of the paths {', '.join(paths)}, got {_shown(exchange.path)}", paths=paths
        )


def api_routes(
    coordinator: Coordinator,
    introspection: Introspection,
    repairs: Repairs,
    secret: bytes,
    actor_name: Callable[[int], str],
    limits: ApiLimits | None = None,
    snapshots: Snapshots | None = None,
    records: Records | None = None,
    custody: Custody | None = None,
    namespaces: Namespaces | None = None,
) -> Routes:
    """The whole API. `secret` is the cluster's; `actor_name` shows actors to people.

    Without `snapshots`, `records`, `custody` and `namespaces` nothing is served at their paths.
    """
    limits = limits or ApiLimits()
    gateway = Gateway(coordinator, secret, actor_name, limits)
    entries = EntryHandlers(gateway)
    lists = EntryListHandlers(gateway)
    node = IntrospectionHandlers(introspection, gateway)
    repair = RepairHandlers(repairs)
    post = {b"POST": Endpoint(entries.post, limits.entry_body_bytes)}
    keyed = _readable(entries.get) | {
        b"PATCH": Endpoint(entries.patch, TOUCH_BODY_BYTES),
        b"DELETE": Endpoint(entries.delete),
    }
    located = Resource(_readable(node.locate))
    routes = Routes(
        {
            b"/entry": Resource(post | keyed),
            b"/entries": Resource(
                _readable(lists.page) | {b"POST": Endpoint(lists.put_many, limits.list_body_bytes)}
            ),
            b"/entries/get": Resource({b"POST": Endpoint(lists.get_many, limits.list_body_bytes)}),
            b"/status": Resource(_readable(node.status)),
            b"/ring": Resource(_readable(node.ring)),
            b"/locate": located,
            b"/clock/accept": Resource({b"POST": Endpoint(node.accept_clock)}),
            b"/repair": Resource(
                _readable(repair.overview) | {b"POST": Endpoint(repair.begin, REPAIR_BODY_BYTES)}
            ),
        }
    )
    routes.add_prefix(ENTRY_PATH, "key", Resource(keyed))
    routes.add_prefix(LOCATE_PATH, "key", located)
    routes.add_prefix(REPAIR_PATH, "id", Resource(_readable(repair.progress)))
    if snapshots is not None:
        _serve_snapshots(routes, SnapshotHandlers(snapshots))
    if records is not None:
        handlers = RecordHandlers(gateway, records)
        put = {b"POST": Endpoint(handlers.put_many, RECORDS_BODY_BYTES)}
        routes.add(b"/records", Resource(_readable(handlers.page) | put))
    named = {} if namespaces is None else _serve_namespaces(routes, NamespaceHandlers(namespaces))
    if custody is not None:
        _serve_keys(routes, KeyHandlers(custody), named)
    return routes


def _serve_namespaces(routes: Routes, handlers: NamespaceHandlers) -> dict[bytes, Endpoint]:
    """Returns what is served at the path of each."""
    named = _readable(handlers.settings) | {
        b"PUT": Endpoint(handlers.put, NAMESPACE_BODY_BYTES),
        b"DELETE": Endpoint(handlers.drop, NAMESPACE_BODY_BYTES),
    }
    routes.add(b"/namespaces", Resource(_readable(handlers.overview)))
    routes.add_prefix(NAMESPACE_PATH, "name", Resource(named))
    return named


def _serve_keys(
    routes: Routes, handlers: KeyHandlers, of_namespaces: dict[bytes, Endpoint]
) -> None:
    routes.add(b"/keys", Resource(_readable(handlers.keys)))
    routes.add(b"/keys/rotate", Resource({b"POST": Endpoint(handlers.rotate, KEYS_BODY_BYTES)}))
    shred = Endpoint(handlers.shred, KEYS_BODY_BYTES)
    # A namespace may have that name.
    routes.add(b"/namespaces/shred", Resource(of_namespaces | {b"POST": shred}))
    scrub = {b"POST": Endpoint(handlers.scrub)}
    routes.add(b"/scrub", Resource(_readable(handlers.progress) | scrub))


def _serve_snapshots(routes: Routes, handlers: SnapshotHandlers) -> None:
    create = {b"POST": Endpoint(handlers.create, SNAPSHOT_BODY_BYTES)}
    routes.add(b"/snapshots", Resource(_readable(handlers.overview) | create))
    change = {b"POST": Endpoint(handlers.verify), b"DELETE": Endpoint(handlers.delete)}
    routes.add_prefix(SNAPSHOT_PATH, "name", Resource(_readable(handlers.progress) | change))


def _readable(handle: Callable[[Exchange], None]) -> dict[bytes, Endpoint]:
    endpoint = Endpoint(handle)
    return {b"GET": endpoint, b"HEAD": endpoint}


def _refuse_method(methods: list[bytes]) -> Callable[[Exchange], None]:
    allow = [method.decode() for method in methods]

    def refuse(exchange: Exchange) -> None:
        raise MethodNotAllowed(
            f"wanted one of the methods {', '.join(allow)} here, got {exchange.method.decode()}",
            allow=allow,
        )

    return refuse


def _shown(path: bytes) -> str:
    return repr(path[:80].decode("ascii", "backslashreplace"))

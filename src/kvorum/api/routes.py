"""The API's map: which handler answers which method on which path."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Final

from kvorum.api.deletion import DeletionHandlers
from kvorum.api.entries import ENTRY_PATH, TOUCH_BODY_BYTES, EntryHandlers
from kvorum.api.entry_lists import EntryListHandlers
from kvorum.api.gateway import Gateway
from kvorum.api.health import HealthHandlers
from kvorum.api.http.exchange import Exchange
from kvorum.api.http.refusals import MethodNotAllowed, UnknownPath
from kvorum.api.http.router import Endpoint
from kvorum.api.key_lists import KeyListHandlers
from kvorum.api.keys import KEYS_BODY_BYTES, KeyHandlers
from kvorum.api.limits import ApiLimits
from kvorum.api.location import LOCATE_PATH, LocateHandler
from kvorum.api.metrics import telling_metrics
from kvorum.api.namespaces import NAMESPACE_BODY_BYTES, NAMESPACE_PATH, NamespaceHandlers
from kvorum.api.node_answers import ACCEPTED, telling
from kvorum.api.records import RECORDS_BODY_BYTES, RecordHandlers
from kvorum.api.repairs import REPAIR_BODY_BYTES, REPAIR_PATH, RepairHandlers
from kvorum.api.security import (
    ROLE_PATH,
    SECURITY_BODY_BYTES,
    TOKEN_PATH,
    USER_PATH,
    SecurityHandlers,
)
from kvorum.api.snapshots import SNAPSHOT_BODY_BYTES, SNAPSHOT_PATH, SnapshotHandlers
from kvorum.service.administration import Administration
from kvorum.service.security_administration import SecurityAdministration
from kvorum.service.service import Service

_DROPPED_BODY_BYTES: Final = 64 << 10
"""How much body is read and dropped to say kindly that nothing is served there."""


class Resource(dict[bytes, Endpoint]):
    """What is at a path: an endpoint for each method it knows, and one for all others."""

    def __init__(self, endpoints: dict[bytes, Endpoint]) -> None:
        super().__init__(endpoints)
        self._not_allowed = Endpoint(_refuse_method(sorted(endpoints)), _DROPPED_BODY_BYTES)

    def __missing__(self, method: bytes) -> Endpoint:
        return self._not_allowed


class Routes:
    """Paths are matched whole, but for those that end with a name: there the start decides."""

    def __init__(self) -> None:
        self._whole: dict[bytes, Resource] = {}
        self._prefixed: list[tuple[bytes, Resource]] = []
        self._named: list[str] = []
        """The paths of `_prefixed`, as people are shown them."""
        self._unknown = Endpoint(self._refuse, _DROPPED_BODY_BYTES)

    def add(self, path: bytes, resource: Resource) -> None:
        """Serve `resource` at exactly `path`."""
        self._whole[path] = resource

    def add_prefix(self, path: bytes, name: str, resource: Resource) -> None:
        """`name`: what follows on `path`."""
        self._prefixed.append((path, resource))
        self._named.append(f"{path.decode()}{{{name}}}")

    @property
    def served(self) -> dict[str, list[str]]:
        """The methods of each path, both in order."""
        shown = [(path.decode(), resource) for path, resource in self._whole.items()]
        shown += [(name, self._prefixed[i][1]) for i, name in enumerate(self._named)]
        return {
            path: [m.decode() for m in sorted(resource)]
            for path, resource in sorted(shown, key=itemgetter(0))
        }

    def resolve(self, method: bytes, path: bytes) -> Endpoint:
        """The endpoint that serves `method` at `path`; one that refuses if none does."""
        found = self._whole.get(path)
        if found is not None:
            return found[method]
        for prefix, resource in self._prefixed:
            if path.startswith(prefix):
                return resource[method]
        return self._unknown

    def _refuse(self, exchange: Exchange) -> None:
        paths = list(self.served)
        raise UnknownPath(
            f"Nothing is served at {_shown(exchange.path)}; the paths are {', '.join(paths)}.",
            paths=paths,
        )


def api_routes(
    service: Service,
    node: Administration,
    limits: ApiLimits | None = None,
    security: SecurityAdministration | None = None,
) -> Routes:
    """The whole API. `security`: None where nodes ask nobody who he is."""
    limits = limits or ApiLimits()
    gateway = Gateway(service, limits)
    routes = Routes()
    _serve_entries(routes, gateway)
    _serve_records(routes, RecordHandlers(gateway))
    _serve_health(routes, HealthHandlers(node))
    _serve_introspection(routes, node, gateway)
    _serve_repairs(routes, node)
    _serve_snapshots(routes, node)
    _serve_namespaces(routes, node)
    _serve_keys(routes, node)
    _serve_security(routes, security or SecurityAdministration(service, None))
    return routes


def _serve_entries(routes: Routes, gateway: Gateway) -> None:
    limits, value_bytes = gateway.limits, gateway.service.limits.value_bytes
    entries, lists = EntryHandlers(gateway), EntryListHandlers(gateway)
    keys = KeyListHandlers(gateway)
    keyed = _readable(entries.get) | {
        b"PUT": Endpoint(entries.put, limits.raw_body_bytes(value_bytes), takes_any_type=True),
        b"PATCH": Endpoint(entries.patch, TOUCH_BODY_BYTES),
        b"DELETE": Endpoint(entries.delete),
    }
    largest = limits.entry_body_bytes(value_bytes)
    routes.add(b"/entry", Resource({b"POST": Endpoint(entries.post, largest)} | keyed))
    routes.add_prefix(ENTRY_PATH, "key", Resource(keyed))
    put_many = {b"POST": Endpoint(lists.put_many, limits.list_body_bytes)}
    delete = DeletionHandlers(gateway, keys).delete
    delete_many = {b"DELETE": Endpoint(delete, limits.list_body_bytes, takes_any_type=True)}
    routes.add(b"/entries", Resource(_readable(lists.page) | put_many | delete_many))
    for name, handle in (
        (b"get", keys.get),
        (b"delete", keys.delete),
        (b"touch", keys.touch),
    ):
        endpoint = Endpoint(handle, limits.list_body_bytes)
        routes.add(b"/entries/" + name, Resource({b"POST": endpoint}))
    routes.add(b"/entries/count", Resource(_readable(lists.count)))


def _serve_records(routes: Routes, handlers: RecordHandlers) -> None:
    put = {b"POST": Endpoint(handlers.put_many, RECORDS_BODY_BYTES)}
    routes.add(b"/records", Resource(_readable(handlers.page) | put))


def _serve_health(routes: Routes, handlers: HealthHandlers) -> None:
    routes.add(b"/health", Resource(_readable(handlers.health)))
    routes.add(b"/ready", Resource(_readable(handlers.ready)))


def _serve_introspection(routes: Routes, node: Administration, gateway: Gateway) -> None:
    routes.add(b"/status", Resource(_readable(telling(node.status))))
    routes.add(b"/metrics", Resource(_readable(telling_metrics(node.metrics))))
    routes.add(b"/ring", Resource(_readable(telling(node.ring))))
    located = Resource(_readable(LocateHandler(node, gateway).locate))
    routes.add(b"/locate", located)
    routes.add_prefix(LOCATE_PATH, "key", located)
    routes.add(b"/clock/accept", Resource({b"POST": Endpoint(telling(node.accept_clock))}))


def _serve_repairs(routes: Routes, node: Administration) -> None:
    handlers = RepairHandlers(node)
    begin = {b"POST": Endpoint(handlers.begin, REPAIR_BODY_BYTES)}
    routes.add(b"/repair", Resource(_readable(telling(node.repairs)) | begin))
    routes.add_prefix(REPAIR_PATH, "id", Resource(_readable(handlers.progress)))


def _serve_namespaces(routes: Routes, node: Administration) -> None:
    handlers = NamespaceHandlers(node)
    named = _readable(handlers.settings) | {
        b"PUT": Endpoint(handlers.put, NAMESPACE_BODY_BYTES),
        b"DELETE": Endpoint(handlers.drop, NAMESPACE_BODY_BYTES),
    }
    routes.add(b"/namespaces", Resource(_readable(telling(node.namespaces))))
    routes.add_prefix(NAMESPACE_PATH, "name", Resource(named))
    # A namespace may have that name.
    shred = Endpoint(KeyHandlers(node).shred, KEYS_BODY_BYTES)
    routes.add(b"/namespaces/shred", Resource(named | {b"POST": shred}))


def _serve_keys(routes: Routes, node: Administration) -> None:
    rotate = Endpoint(KeyHandlers(node).rotate, KEYS_BODY_BYTES)
    routes.add(b"/keys", Resource(_readable(telling(node.keys))))
    routes.add(b"/keys/rotate", Resource({b"POST": rotate}))
    scrub = {b"POST": Endpoint(telling(node.scrub, ACCEPTED))}
    routes.add(b"/scrub", Resource(_readable(telling(node.scrub_status)) | scrub))


def _serve_security(routes: Routes, security: SecurityAdministration) -> None:
    handlers, most = SecurityHandlers(security), SECURITY_BODY_BYTES
    routes.add(b"/whoami", Resource(_readable(telling(security.whoami))))
    create = {b"POST": Endpoint(handlers.create_token, most)}
    routes.add(b"/tokens", Resource(_readable(telling(security.tokens)) | create))
    routes.add_prefix(TOKEN_PATH, "id", Resource({b"DELETE": Endpoint(handlers.revoke_token)}))
    routes.add(b"/users", Resource(_readable(telling(security.users))))
    user = {
        b"PUT": Endpoint(handlers.set_user, most),
        b"DELETE": Endpoint(handlers.remove_user),
    }
    routes.add_prefix(USER_PATH, "name", Resource(user))
    routes.add(b"/roles", Resource(_readable(telling(security.roles))))
    role = {
        b"PUT": Endpoint(handlers.set_role, most),
        b"DELETE": Endpoint(handlers.remove_role),
    }
    routes.add_prefix(ROLE_PATH, "name", Resource(role))
    revoke = {b"POST": Endpoint(handlers.revoke_certificate, most)}
    routes.add(b"/revocations", Resource(_readable(telling(security.revocations)) | revoke))


def _serve_snapshots(routes: Routes, node: Administration) -> None:
    handlers = SnapshotHandlers(node)
    create = {b"POST": Endpoint(handlers.create, SNAPSHOT_BODY_BYTES)}
    routes.add(b"/snapshots", Resource(_readable(telling(node.snapshots)) | create))
    change = {b"POST": Endpoint(handlers.verify), b"DELETE": Endpoint(handlers.delete)}
    routes.add_prefix(SNAPSHOT_PATH, "name", Resource(_readable(handlers.progress) | change))


def _readable(handle: Callable[[Exchange], None]) -> dict[bytes, Endpoint]:
    endpoint = Endpoint(handle)
    return {b"GET": endpoint, b"HEAD": endpoint}


def _refuse_method(methods: list[bytes]) -> Callable[[Exchange], None]:
    allow = [method.decode() for method in methods]

    def refuse(exchange: Exchange) -> None:
        raise MethodNotAllowed(
            f"The method {exchange.method.decode()} is not served here; {', '.join(allow)} are.",
            allow=allow,
        )

    return refuse


def _shown(path: bytes) -> str:
    return repr(path[:80].decode("ascii", "backslashreplace"))

"""The API's map: which handler answers which method on which path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.api.entries import ENTRY_PATH, EntryHandlers
from kvorum.api.entry_lists import EntryListHandlers
from kvorum.api.gateway import Gateway
from kvorum.api.http.exchange import Exchange
from kvorum.api.http.refusals import MethodNotAllowed, UnknownPath
from kvorum.api.http.router import Endpoint
from kvorum.api.introspection import LOCATE_PATH, IntrospectionHandlers
from kvorum.api.limits import ApiLimits
from kvorum.api.ports import Coordinator, Introspection, Repairs
from kvorum.api.repairs import REPAIR_BODY_BYTES, REPAIR_PATH, RepairHandlers

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
    """Paths are matched whole, but for those that end with a key: there the start decides."""

    __slots__ = ("_prefixed", "_unknown", "_whole")

    def __init__(
        self, whole: dict[bytes, Resource], prefixed: list[tuple[bytes, Resource]]
    ) -> None:
        self._whole = whole
        self._prefixed = prefixed
        paths = [path.decode() for path in whole] + [f"{p.decode()}{{key}}" for p, _ in prefixed]
        self._unknown = Endpoint(_refuse_path(sorted(paths)), _DROPPED_BODY_BYTES)

    def resolve(self, method: bytes, path: bytes) -> Endpoint:
        for prefix, resource in self._prefixed:
            if path.startswith(prefix):
                return resource[method]
        found = self._whole.get(path)
        return self._unknown if found is None else found[method]


def api_routes(
    coordinator: Coordinator,
    introspection: Introspection,
    repairs: Repairs,
    secret: bytes,
    actor_name: Callable[[int], str],
    limits: ApiLimits | None = None,
) -> Routes:
    """The whole API. `secret` is the cluster's; `actor_name` shows actors to people."""
    limits = limits or ApiLimits()
    gateway = Gateway(coordinator, secret, actor_name, limits)
    entries = EntryHandlers(gateway)
    lists = EntryListHandlers(gateway)
    node = IntrospectionHandlers(introspection, gateway)
    repair = RepairHandlers(repairs)
    return Routes(
        {
            b"/entry": Resource({b"POST": Endpoint(entries.post, limits.entry_body_bytes)}),
            b"/entries": Resource(
                _readable(lists.page) | {b"POST": Endpoint(lists.put_many, limits.list_body_bytes)}
            ),
            b"/entries/get": Resource({b"POST": Endpoint(lists.get_many, limits.list_body_bytes)}),
            b"/status": Resource(_readable(node.status)),
            b"/ring": Resource(_readable(node.ring)),
            b"/repair": Resource(
                _readable(repair.overview) | {b"POST": Endpoint(repair.begin, REPAIR_BODY_BYTES)}
            ),
        },
        [
            (
                ENTRY_PATH,
                Resource(_readable(entries.get) | {b"DELETE": Endpoint(entries.delete)}),
            ),
            (LOCATE_PATH, Resource(_readable(node.locate))),
            (REPAIR_PATH, Resource(_readable(repair.progress))),
        ],
    )


def _readable(handle: Callable[[Exchange], None]) -> dict[bytes, Endpoint]:
    endpoint = Endpoint(handle)
    return {b"GET": endpoint, b"HEAD": endpoint}


def _refuse_path(paths: list[str]) -> Callable[[Exchange], None]:
    def refuse(exchange: Exchange) -> None:
        raise UnknownPath(
            f"wanted one of the paths {', '.join(paths)}, got {_shown(exchange.path)}", paths=paths
        )

    return refuse


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

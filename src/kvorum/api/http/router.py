"""The router port: what the connections ask once they know a request's method and path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kvorum.api.http.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who answers, and how large a body it takes. A KvorumError of `handle` is the answer."""

    handle: Callable[[Exchange], None]
    body_bytes_max: int = 0
    takes_any_type: bool = False
    """The body may be declared as anything, or not at all. Only for methods that no form sends."""


class Router(Protocol):
    """Says which endpoint serves a method and a path."""

    def resolve(self, method: bytes, path: bytes) -> Endpoint:
        """Never fails: where nothing is served, the endpoint says so."""

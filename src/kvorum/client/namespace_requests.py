"""Calls about a node's namespaces; each node is asked by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kvorum.client.requests import Request

_encode: Final = msgspec.json.Encoder().encode


class _PutBody(msgspec.Struct, omit_defaults=True):
    settings: dict[str, Any]
    version: int | None = None
    check_only: bool = False


class _DropBody(msgspec.Struct, omit_defaults=True):
    before_ms: int | None = None
    version: int | None = None


def namespaces() -> Request:
    """Which namespaces the node has, with what settings."""
    return Request("GET", "/namespaces", safe=True, timed=False)


def put_namespace(
    name: str, settings: Mapping[str, Any], version: int | None = None, *, check_only: bool = False
) -> Request:
    """`check_only`: ask whether it could be, and change nothing."""
    body = _encode(_PutBody(dict(settings), version, check_only))
    # A namespace that has these settings already is left as it is.
    return Request("PUT", f"/namespaces/{name}", body=body, safe=True, timed=False)


def drop_namespace(name: str, before_ms: int | None = None, version: int | None = None) -> Request:
    """End a namespace; what was written to it since `before_ms` is refused ever after."""
    body = _encode(_DropBody(before_ms, version))
    return Request("DELETE", f"/namespaces/{name}", body=body, timed=False)

"""Requests about a node's own snapshots, keys and namespaces; each node is asked by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from kvorum.client.requests import Request, body_of


def snapshots() -> Request:
    """Which snapshots the node has."""
    return Request("GET", "/snapshots", safe=True, timed=False)


def create_snapshot(name: str) -> Request:
    """Begin to make a snapshot."""
    return Request("POST", "/snapshots", body=body_of(name=name), timed=False)


def verify_snapshot(name: str) -> Request:
    """Begin to compare a snapshot with what the node made."""
    return Request("POST", f"{_snapshot(name)}/verify", safe=True, timed=False)


def snapshot_progress(name: str) -> Request:
    """How far the making, verification or deletion of a snapshot is."""
    return Request("GET", _snapshot(name), safe=True, timed=False)


def delete_snapshot(name: str) -> Request:
    """Begin to delete a snapshot."""
    return Request("DELETE", _snapshot(name), timed=False)


def keys() -> Request:
    """Which data keys the node has."""
    return Request("GET", "/keys", safe=True, timed=False)


def rotate(namespace: str | None) -> Request:
    """Make new data keys, of one namespace or of all."""
    # Not safe to repeat: each time makes another key.
    return Request("POST", "/keys/rotate", body=body_of(namespace=namespace), timed=False)


def shred(namespace: str, before_ms: int | None) -> Request:
    """Destroy for good what was written to a namespace before that moment (ms)."""
    body = body_of(namespace=namespace, before_ms=before_ms)
    return Request("POST", "/namespaces/shred", body=body, timed=False)


def scrub() -> Request:
    """Begin to read every stored record."""
    return Request("POST", "/scrub", safe=True, timed=False)


def scrub_progress() -> Request:
    """How far that is."""
    return Request("GET", "/scrub", safe=True, timed=False)


def namespaces() -> Request:
    """Which namespaces the node has, with what settings."""
    return Request("GET", "/namespaces", safe=True, timed=False)


def put_namespace(
    name: str, settings: Mapping[str, Any], version: int | None = None, *, check_only: bool = False
) -> Request:
    """Give a namespace these settings; with `check_only`, say whether that could be done."""
    body = body_of(settings=dict(settings), version=version, check_only=check_only or None)
    # A namespace that has these settings already is left as it is.
    return Request("PUT", f"/namespaces/{name}", body=body, safe=True, timed=False)


def drop_namespace(name: str, before_ms: int) -> Request:
    """End a namespace; what was written to it before `before_ms` is refused ever after."""
    body = body_of(before_ms=before_ms)
    return Request("DELETE", f"/namespaces/{name}", body=body, timed=False)


def _snapshot(name: str) -> str:
    return f"/snapshots/{quote(name, safe='')}"

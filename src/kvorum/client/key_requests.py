"""Calls about a node's keys and stored records; each node is asked by itself."""

from __future__ import annotations

from typing import Final

import msgspec

from kvorum.client.requests import Request

_encode: Final = msgspec.json.Encoder().encode


class _RotateBody(msgspec.Struct, omit_defaults=True):
    namespace: str | None = None


class _ShredBody(msgspec.Struct, omit_defaults=True):
    namespace: str
    before_ms: int | None = None


def keys() -> Request:
    """Which data keys the node has."""
    return Request("GET", "/keys", safe=True, timed=False)


def rotate(namespace: str | None) -> Request:
    """Make new data keys, of one namespace or of all."""
    # Not safe to repeat: each time makes another key.
    return Request("POST", "/keys/rotate", body=_encode(_RotateBody(namespace)), timed=False)


def shred(namespace: str, before_ms: int | None) -> Request:
    """Destroy for good what was written to a namespace before that moment (ms)."""
    body = _encode(_ShredBody(namespace, before_ms))
    return Request("POST", "/namespaces/shred", body=body, timed=False)


def scrub() -> Request:
    """Begin to read every stored record."""
    return Request("POST", "/scrub", safe=True, timed=False)


def scrub_progress() -> Request:
    """How far that is."""
    return Request("GET", "/scrub", safe=True, timed=False)

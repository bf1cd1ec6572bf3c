"""The requests about snapshots of one node; see `requests.py`."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from kvorum.client.requests import Request


def create(name: str) -> Request:
    return Request("POST", "/snapshots", body=msgspec.json.encode({"name": name}), timed=False)


def listing() -> Request:
    return Request("GET", "/snapshots", safe=True, timed=False)


def progress(name: str) -> Request:
    return Request("GET", _path(name), safe=True, timed=False)


def verify(name: str) -> Request:
    return Request("POST", f"{_path(name)}/verify", safe=True, timed=False)


def delete(name: str) -> Request:
    return Request("DELETE", _path(name), timed=False)


def _path(name: str) -> str:
    return f"/snapshots/{quote(name, safe='')}"

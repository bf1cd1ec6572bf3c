"""The requests about snapshots of one node, and its answers, as values; see `requests.py`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from kvorum.client.documents import read
from kvorum.client.requests import Request
from kvorum.model.errors import KvorumError, from_code


class NamedSnapshot(msgspec.Struct):
    """All that every snapshot in a list is sure to have."""

    name: str


class _Snapshots(msgspec.Struct):
    snapshots: list[NamedSnapshot]


class JobError(msgspec.Struct):
    code: str
    message: str


class Job(msgspec.Struct):
    """`snapshot`: what there is to say of it in the end, for people."""

    name: str
    ended: bool
    bytes_done: int
    bytes_total: int
    snapshot: dict[str, Any] | None = None
    error: JobError | None = None

    @property
    def failure(self) -> KvorumError | None:
        error = self.error
        return None if error is None else from_code(error.code, error.message, "none", {})


def job(document: dict[str, Any]) -> Job:
    """Raises ProtocolError."""
    return read(document, Job, "snapshots")


def listed(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The snapshots in a list, each with a name at least. Raises ProtocolError."""
    read(document, _Snapshots, "snapshots")
    found: list[dict[str, Any]] = document["snapshots"]
    return found


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

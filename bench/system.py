"""What is compared: a running cluster of three nodes, and how to speak to it over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kvorum.model.address import Address

NODES: Final = 3
PEER_OFFSET: Final = 100
"""Clients ask at ports P, P+1, P+2; nodes ask each other at P+100, P+101, P+102."""


def key_name(number: int) -> str:
    return f"key{number:08d}"


def any_key(name: str) -> bool:
    return True


@dataclass(frozen=True)
class Target:
    """A server, and the keys that it is asked for."""

    server: Address
    is_asked_for: Callable[[str], bool] = any_key


@dataclass(frozen=True)
class Cluster:
    """Three running nodes.

    `targets`: for each way to spread connections its name and a target for each third.
    """

    nodes: Sequence[Address]
    targets: Mapping[str, Sequence[Target]]


@dataclass(frozen=True)
class System:
    """What is compared, and how to speak to it."""

    name: str
    version: Callable[[], str]
    start: Callable[[Path, int], AbstractContextManager[Cluster]]
    """Three nodes with their data under the directory, at ports from this one on."""
    scripts: Mapping[str, str]
    """By operation, what wrk runs."""
    put: Callable[[str, bytes], bytes]
    """The request that stores a value (ASCII), to load the keys before anything is measured."""
    get: Callable[[str], bytes]
    value_in: Callable[[bytes], bytes]
    """The value in the body of an answered get. Raises ProtocolError if there is none."""


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode("ascii") + b"\r\n" + body

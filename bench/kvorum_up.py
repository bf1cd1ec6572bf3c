"""kvorum as `kvorum up` starts it: N=3, R=W=2, every write synced before it is answered."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from server import Server, answers
from system import NODES, Cluster, System, request

from kvorum import __version__
from kvorum.local.layout import Layout
from kvorum.local.ports import local_topology
from kvorum.model.address import Address
from kvorum.model.errors import ConfigError, ProtocolError
from kvorum.model.topology import NamespaceSettings

Settings = dict[str, Any]
"""Of the namespace "default", where they are not the usual ones."""


def starter(settings: Settings) -> Callable[[Path, int], AbstractContextManager[Cluster]]:
    """As `start`, with these settings."""

    def start_with(directory: Path, port: int) -> AbstractContextManager[Cluster]:
        usual = NamespaceSettings.majority(NODES)
        wanted = msgspec.structs.replace(usual, **settings)
        Layout(directory / "data").create(local_topology(NODES, port, wanted))
        return start(directory, port)

    return start_with


@contextmanager
def start(directory: Path, port: int) -> Iterator[Cluster]:
    nodes = [Address("127.0.0.1", port + i) for i in range(NODES)]
    command = [
        *(_executable(), "up", "-n", str(NODES)),
        *("--data-dir", str(directory / "data"), "--port", str(port)),
    ]
    with Server(command, directory / "kvorum.log") as server:
        for node in nodes:
            server.wait_until(lambda node=node: answers(node, "/status"))  # type: ignore[misc]
        yield Cluster(nodes, {"all nodes": nodes})


def _executable() -> str:
    beside = Path(sys.executable).with_name("kvorum")
    found = str(beside) if beside.exists() else shutil.which("kvorum")
    if found is None:
        raise ConfigError("wanted the command kvorum, found none; install it with `pip install .`")
    return found


def _put(key: str, value: bytes) -> bytes:
    body = msgspec.json.encode({"key": key, "value": value.decode("ascii")})
    return request("POST", "/entry", body)


def _get(key: str) -> bytes:
    return request("GET", f"/entry/{key}")


class _Entry(msgspec.Struct):
    value: str


def _value_in(body: bytes) -> bytes:
    try:
        return msgspec.json.decode(body, type=_Entry).value.encode()
    except msgspec.DecodeError as error:
        raise ProtocolError(f"wanted an entry, got {body[:80]!r}") from error


KVORUM = System(
    name="kvorum",
    version=lambda: __version__,
    start=start,
    put_script="kvorum_put.lua",
    get_script="kvorum_get.lua",
    put=_put,
    get=_get,
    value_in=_value_in,
)

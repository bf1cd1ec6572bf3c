"""kvorum as `kvorum up` starts it: N=3, R=W=2, every write synced before it is answered."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from comparison import GET, PUT
from server import Server, answers
from system import NODES, Cluster, System, Target, request

from kvorum import __version__
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.ports import local_topology
from kvorum.model.address import Address
from kvorum.model.errors import ConfigError, ProtocolError
from kvorum.model.keys import TOKEN_HASHES, encode_key
from kvorum.model.placement import Placement
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.topology import NamespaceSettings, Topology

Settings = dict[str, Any]
"""Of the namespace "default", where they are not the usual ones."""


ALL_NODES: Final = "all nodes"
FIRST_OWNERS: Final = "first owners"


def starter(
    settings: Settings, spread: Sequence[str] = (ALL_NODES, FIRST_OWNERS)
) -> Callable[[Path, int], AbstractContextManager[Cluster]]:
    """Starts nodes whose default namespace has these settings, to be asked in these ways."""

    @contextmanager
    def start(directory: Path, port: int) -> Iterator[Cluster]:
        usual = NamespaceSettings.majority(NODES)
        topology = local_topology(NODES, port, msgspec.structs.replace(usual, **settings))
        Layout(directory / "data").create(topology)
        nodes = [Address("127.0.0.1", port + i) for i in range(NODES)]
        command = [
            *(_executable(), "up", "-n", str(NODES)),
            *("--data-dir", str(directory / "data"), "--port", str(port)),
        ]
        with Server(command, directory / "kvorum.log") as server:
            for node in nodes:
                server.wait_until(lambda node=node: answers(node, "/status"))  # type: ignore[misc]
            targets = {
                ALL_NODES: [Target(node) for node in nodes],
                FIRST_OWNERS: _first_owners(topology, nodes),
            }
            yield Cluster(nodes, {way: targets[way] for way in spread})

    return start


def _first_owners(topology: Topology, nodes: Sequence[Address]) -> list[Target]:
    """As a client spreads its requests that knows the ring, like the one in `kvorum.client`."""
    placement = Placement(topology)
    token_hash = TOKEN_HASHES[topology.token_hash]

    def first_owner(key: str) -> int:
        token = token_hash(encode_key(key), topology.token_seed)
        return placement.owners(placement.partition(token), PlacementRule(NODES))[0]

    def is_first(index: int) -> Callable[[str], bool]:
        return lambda key: first_owner(key) == index

    return [Target(node, is_first(index)) for index, node in enumerate(nodes)]


def _executable() -> str:
    beside = Path(sys.executable).with_name("kvorum")
    found = str(beside) if beside.exists() else shutil.which("kvorum")
    if found is None:
        raise ConfigError("The command kvorum is not installed. Install it with `pip install .`.")
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
        raise ProtocolError(f"kvorum answered with no entry but {body[:80]!r}.") from error


KVORUM = System(
    name="kvorum",
    version=lambda: __version__,
    start=starter({}),
    scripts={PUT: "kvorum_put.lua", GET: "kvorum_get.lua"},
    put=_put,
    get=_get,
    value_in=_value_in,
)

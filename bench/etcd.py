"""etcd, asked through its JSON gateway; everything else as etcd has it by default.

Its writes are synced to disk by a majority of the members before they are answered, and its
reads are linearizable. A member that is not the leader passes on what it is asked.
"""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from comparison import GET, PUT
from server import Server, answers
from system import NODES, PEER_OFFSET, Cluster, System, Target, request

from kvorum.client.url import host_port
from kvorum.model.address import Address
from kvorum.model.errors import ConfigError, KvorumError, ProtocolError


@contextmanager
def start(directory: Path, port: int) -> Iterator[Cluster]:
    nodes = [Address("127.0.0.1", port + i) for i in range(NODES)]
    peers = [Address("127.0.0.1", port + PEER_OFFSET + i) for i in range(NODES)]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                Server(_command(directory, i, nodes, peers), directory / f"{i}.log")
            )
            for i in range(NODES)
        ]
        for server, node in zip(servers, nodes, strict=True):
            server.wait_until(lambda node=node: answers(node, "/health"))  # type: ignore[misc]
        members, leader = [Target(node) for node in nodes], Target(_coordinator(nodes))
        yield Cluster(nodes, {"all members": members, "leader": [leader] * NODES})


def _command(
    directory: Path, index: int, nodes: Sequence[Address], peers: Sequence[Address]
) -> list[str]:
    client_url, peer_url = f"http://{host_port(nodes[index])}", f"http://{host_port(peers[index])}"
    members = ",".join(f"etcd{i}=http://{host_port(peer)}" for i, peer in enumerate(peers))
    return [
        _executable(),
        *("--name", f"etcd{index}", "--data-dir", str(directory / f"etcd{index}")),
        *("--listen-client-urls", client_url, "--advertise-client-urls", client_url),
        *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
        *("--initial-cluster", members, "--initial-cluster-state", "new"),
        *("--logger", "zap", "--log-level", "warn"),
    ]


def _executable() -> str:
    found = shutil.which("etcd")
    if found is None:
        raise ConfigError(
            "etcd is not installed. Install it, for example with `apt-get install etcd-server`."
        )
    return found


def _coordinator(nodes: Sequence[Address]) -> Address:
    for node in nodes:
        status = _post(node, "/v3/maintenance/status")
        if status["leader"] == status["header"]["member_id"]:
            return node
    raise KvorumError("None of the members of etcd is its leader.")


def _post(node: Address, path: str) -> Any:
    connection = http.client.HTTPConnection(node.host, node.port, timeout=10)
    try:
        connection.request("POST", path, body="{}")
        return json.load(connection.getresponse())
    finally:
        connection.close()


def _version() -> str:
    answer = subprocess.run(
        [_executable(), "--version"], capture_output=True, text=True, check=True
    )
    return answer.stdout.splitlines()[0].removeprefix("etcd Version: ")


def _put(key: str, value: bytes) -> bytes:
    return request("POST", "/v3/kv/put", _json(key=_base64(key.encode()), value=_base64(value)))


def _get(key: str) -> bytes:
    return request("POST", "/v3/kv/range", _json(key=_base64(key.encode())))


def _json(**fields: str) -> bytes:
    return msgspec.json.encode(fields)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


class _Pair(msgspec.Struct):
    value: bytes


class _Range(msgspec.Struct):
    kvs: list[_Pair]


def _value_in(body: bytes) -> bytes:
    try:
        (pair,) = msgspec.json.decode(body, type=_Range).kvs
    except (msgspec.DecodeError, ValueError) as error:
        raise ProtocolError(f"etcd answered with no key and value but {body[:80]!r}.") from error
    return pair.value


ETCD = System(
    name="etcd",
    version=_version,
    start=start,
    scripts={PUT: "etcd_put.lua", GET: "etcd_get.lua"},
    put=_put,
    get=_get,
    value_in=_value_in,
)

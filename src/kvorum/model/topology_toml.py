"""The file form of a topology.

    cluster = "demo"                # 1 to 64 of A-Z a-z 0-9 _ . -, as all names here
    epoch = 1                       # which topology of this cluster: 1, then 2, ...
    partitions = 256                # a power of two, at most 65536; fixed for good
    token_hash = "murmur3"          # or "md5", which takes no seed; fixed for good
    token_seed = 0                  # 32 bits; fixed for good
    secret_file = "cluster.secret"  # beside this file, mode 0600, 16 bytes or more

    [[nodes]]
    name = "n1"
    http = "127.0.0.1:7400"         # where clients reach it
    peer = "127.0.0.1:7500"         # where other nodes reach it; needless for one node alone
    dc = "dc1"                      # left out: "default"
    rack = "r1"                     # left out: "default"
    host = "h1"                     # left out: the node's name
    weight = 1                      # its part of the data, relative to other nodes
    number = 0                      # how nodes name it; left out everywhere: by order of names

    [namespaces.default]            # exists even if left out
    replicas = 3                    # N; left out: 3, or all nodes if they are fewer
    read = 2                        # R; left out: a majority of N
    write = 2                       # W; left out: a majority of N
    durability = "fsync"            # "os": acks do not wait for the disk; "none": memory only
    timeout_ms = 2000
    quorum = "strict"               # or "sloppy": where owners are away, others stand in
    ttl = 0                         # seconds that an entry lives; 0: for ever
    encryption = "on"               # or "off": values and key names lie open on the disk
    compression = "zstd"            # or "off"
    compression_level = 3           # 1 to 9
    dictionary = true               # train one on the namespace's own data
    eviction = "lru"                # or "lfu", "tinylfu": what a full cache gives up first
    max_memory = 0                  # bytes on each node; with durability "none" only
    hash_tags = true                # keys such as "user:{7}:cart" are placed by what is in braces

Only `cluster` and the name and addresses of each node are needed. Unknown fields are
refused: a misspelt setting must not pass for one that was left out.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from kvorum.model.errors import ConfigError
from kvorum.model.toml_fields import fitting
from kvorum.model.topology import (
    DEFAULT_REPLICAS,
    DEFAULT_TIMEOUT_MS,
    NamespaceSettings,
    NodeSpec,
    Topology,
    naming,
)

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class _NamespaceTable(msgspec.Struct, forbid_unknown_fields=True):
    """A namespace as written: what is left out follows from what is there."""

    replicas: int | None = None
    read: int | None = None
    write: int | None = None
    durability: str = "fsync"
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    quorum: str = "strict"
    ttl: int = 0
    encryption: str = "on"
    compression: str = "zstd"
    compression_level: int = 3
    dictionary: bool = True
    eviction: str = "lru"
    max_memory: int = 0
    hash_tags: bool = True

    def settings(self, nodes: int) -> NamespaceSettings:
        replicas = min(DEFAULT_REPLICAS, nodes) if self.replicas is None else self.replicas
        default = NamespaceSettings.majority(replicas)
        given: dict[str, Any] = msgspec.structs.asdict(self)  # Topology checks the words
        given["replicas"] = replicas
        given["read"] = default.read if self.read is None else self.read
        given["write"] = default.write if self.write is None else self.write
        return NamespaceSettings(**given)


def namespace_settings(fields: Mapping[str, object], nodes: int) -> NamespaceSettings:
    """The settings of a namespace of which `fields` are given; in a cluster of so many `nodes`.

    Raises ConfigError for a field that is unknown or of the wrong type, and checks no values.
    """
    return fitting(dict(fields), _NamespaceTable).settings(nodes)


class _TopologyTable(msgspec.Struct, forbid_unknown_fields=True):
    cluster: str
    nodes: tuple[NodeSpec, ...]
    epoch: int = 1
    partitions: int = 256
    token_hash: str = "murmur3"
    token_seed: int = 0
    secret_file: str | None = None
    namespaces: dict[str, _NamespaceTable] = {}


def parse_topology(text: str, source: str, secret: bytes | None = None) -> Topology:
    """The topology that `text` describes. Raises ConfigError, which names `source`.

    `secret` is what the `secret_file` holds: this floor opens no files.
    """
    table = _parse_table(text, source)
    with naming(source):
        fields = {field: getattr(table, field) for field in table.__struct_fields__}
        fields["namespaces"] = {
            name: namespace.settings(len(table.nodes))
            for name, namespace in table.namespaces.items()
        }
        return Topology(**fields, secret=secret or b"")


def secret_file_in(text: str, source: str) -> str | None:
    """The `secret_file` that `text` names. Raises ConfigError, which names `source`."""
    return _parse_table(text, source).secret_file


def _parse_table(text: str, source: str) -> _TopologyTable:
    with naming(source):
        table = _parse_toml(text)
        nodes, namespaces = table.get("nodes"), table.get("namespaces")
        # One by one first: what is wrong in the whole is told without a name.
        for number, node in enumerate(nodes if isinstance(nodes, list) else (), 1):
            name = node.get("name") if isinstance(node, dict) else None
            with naming(f"node {name!r}" if isinstance(name, str) else f"node {number}"):
                fitting(node, NodeSpec)
        for name, namespace in (namespaces if isinstance(namespaces, dict) else {}).items():
            with naming(f"namespace {name!r}"):
                fitting(namespace, _NamespaceTable)
        return fitting(table, _TopologyTable)


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"Invalid TOML: {error}.") from error
    except RecursionError as error:
        raise ConfigError(
            "Invalid TOML: arrays or tables are nested too many levels deep."
        ) from error


def dump_topology(topology: Topology) -> str:
    """The TOML that is parsed to `topology` again, given its secret."""
    top = tuple(f for f in _TopologyTable.__struct_fields__ if f not in ("nodes", "namespaces"))
    lines = _assignments(topology, top)
    for node in topology.nodes:
        lines += ["", "[[nodes]]", *_assignments(node, node.__struct_fields__)]
    for name, settings in topology.namespaces.items():
        key = name if _BARE_KEY.fullmatch(name) else _quoted(name)
        lines += ["", f"[namespaces.{key}]", *_assignments(settings, settings.__struct_fields__)]
    return "\n".join(lines) + "\n"


def _assignments(table: msgspec.Struct, fields: tuple[str, ...]) -> list[str]:
    values = {field: getattr(table, field) for field in fields}
    return [
        f"{field} = {_text(value)}" for field, value in values.items() if value not in (None, "")
    ]


def _text(value: bool | float | str) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return str(value).lower() if isinstance(value, bool) else _number(value)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _quoted(text: str) -> str:
    """A TOML basic string. It escapes as JSON does, and DEL besides."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

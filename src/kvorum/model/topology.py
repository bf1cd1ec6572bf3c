"""A topology: the nodes of a cluster and all that they must agree on, as one value.

A `Topology` that exists is valid: its constructor refuses anything else with a ConfigError
that names the field. Two members agree exactly when their fingerprints are equal. The namespaces
are no part of that: they come and go while nodes run (`catalog.py`).

A node's number is how nodes name each other, in messages, notes and placements. It stays with
the node; a number is never given to another one. Where a file gives none, nodes are numbered from
0 in the order of their names (n2 before n10), whatever order they came in.

Fault domains nest: a rack's name counts within its dc, a host's within its rack. A node
that names no host is a host of its own.

The secret is what nodes prove to each other that they know, and keys the check on the versions
that clients hand back. Without one it is derived from the cluster's name: that detects accidents
(a node or a version of another cluster), no attackers. The secret is no part of the fingerprint,
which clients may see, nor of any repr.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, get_args

import msgspec

from kvorum.model.address import parse_address
from kvorum.model.errors import ConfigError
from kvorum.model.field_checks import bad_name, check_choice, check_name, check_range
from kvorum.model.keys import TOKEN_HASHES, is_namespace_name
from kvorum.model.placement_rule import PlacementRule

Durability = Literal["fsync", "os", "none"]
"""What an ack means: the log is synced to disk, handed to the operating system, or that the
entry is in memory, where it stays while there is room (`max_memory`).
"""

QuorumKind = Literal["strict", "sloppy"]
"""Who may answer for a replica: its owners only, or the next healthy nodes in their place."""

Encryption = Literal["on", "off"]
Compression = Literal["zstd", "off"]
Eviction = Literal["lru", "lfu", "tinylfu"]
"""Which entry a full cache gives up."""

DEFAULT_NAMESPACE: Final = "default"
DEFAULT_REPLICAS: Final = 3
DEFAULT_TIMEOUT_MS: Final = 2000

NODES_MAX: Final = 1000
NUMBER_MAX: Final = (1 << 31) - 1
UNNUMBERED: Final = -1
"""The number of a node that was given none: its topology gives it one."""
PARTITIONS_MAX: Final = 1 << 16
EPOCH_MAX: Final = (1 << 63) - 1
SEED_MAX: Final = (1 << 32) - 1
WEIGHT_MIN: Final = 0.001
WEIGHT_MAX: Final = 1000
TIMEOUT_MS_MAX: Final = 600_000
TTL_S_MAX: Final = 100 * 365 * 86_400
COMPRESSION_LEVEL_MAX: Final = 9
"""Higher ones take seconds for the largest values, and everybody waits meanwhile."""
MEMORY_BYTES_MIN: Final = 1 << 20
MEMORY_BYTES_MAX: Final = 1 << 40
SECRET_BYTES_MIN: Final = 16
_WORDS: Final = {
    "durability": get_args(Durability),
    "quorum": get_args(QuorumKind),
    "encryption": get_args(Encryption),
    "compression": get_args(Compression),
    "eviction": get_args(Eviction),
}
"""The settings of a namespace that are words, and which they may be."""


class NodeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node: `http` is where clients reach it, `peer` where other nodes do."""

    name: str
    http: str
    peer: str = ""
    dc: str = "default"
    rack: str = "default"
    host: str = ""
    weight: float = 1.0
    number: int = UNNUMBERED

    def __post_init__(self) -> None:
        if not self.host:
            msgspec.structs.force_setattr(self, "host", self.name)


class NamespaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one namespace: N, and the R and W of requests that name none, and more. A
    `ttl` of 0 is none; so is a `max_memory` of 0.
    """

    replicas: int
    read: int
    write: int
    durability: Durability = "fsync"
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    quorum: QuorumKind = "strict"
    ttl: int = 0
    encryption: Encryption = "on"
    compression: Compression = "zstd"
    compression_level: int = 3
    dictionary: bool = True
    eviction: Eviction = "lru"
    max_memory: int = 0
    hash_tags: bool = True

    @classmethod
    def majority(cls, replicas: int) -> NamespaceSettings:
        """`replicas` copies, read and written by majorities: any two quorums overlap."""
        quorum = replicas // 2 + 1
        return cls(replicas=replicas, read=quorum, write=quorum)

    @property
    def rule(self) -> PlacementRule:
        """Where the copies of its records go."""
        return PlacementRule(self.replicas)


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of a cluster and all that they must agree on. Raises ConfigError."""

    cluster: str
    nodes: tuple[NodeSpec, ...]
    epoch: int = 1
    partitions: int = 256
    token_hash: str = "murmur3"
    token_seed: int = 0
    namespaces: dict[str, NamespaceSettings] = {}
    secret_file: str | None = None
    secret: bytes = b""
    """Empty at construction means: derive it from the cluster's name."""

    def __post_init__(self) -> None:
        _check_cluster(self)
        _check_nodes(self.nodes)
        default = NamespaceSettings.majority(min(DEFAULT_REPLICAS, len(self.nodes)))
        namespaces = {DEFAULT_NAMESPACE: default} | self.namespaces
        for name, settings in namespaces.items():
            check_namespace(name, settings, len(self.nodes))
        canonical = msgspec.structs.force_setattr
        canonical(self, "nodes", _numbered(self.nodes))
        canonical(self, "namespaces", namespaces)
        canonical(self, "secret", self.secret or _derived_secret(self.cluster))

    @classmethod
    def single(
        cls, name: str = "n1", http: str = "127.0.0.1:7400", cluster: str = "local"
    ) -> Topology:
        """One node alone: N = R = W = 1."""
        return cls(cluster=cluster, nodes=(NodeSpec(name=name, http=http),))

    @property
    def partition_bits(self) -> int:
        """How many bits of a token choose its partition."""
        return self.partitions.bit_length() - 1

    @property
    def secret_is_derived(self) -> bool:
        """True if the secret follows from the cluster's name, so that it keeps nobody out."""
        return self.secret == _derived_secret(self.cluster)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of all nodes, in ascending order."""
        return tuple(node.number for node in self.nodes)

    def node(self, number: int) -> NodeSpec:
        """The node with that number. Raises ConfigError if there is none."""
        for node in self.nodes:
            if node.number == number:
                return node
        known = ", ".join(map(str, self.numbers))
        raise ConfigError(
            f"Cluster {self.cluster!r} has no node number {number}; its numbers are {known}."
        )

    def number_of(self, name: str) -> int:
        """The number of the node called `name`. Raises ConfigError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node.number
        names = ", ".join(node.name for node in self.nodes)
        raise ConfigError(
            f"Cluster {self.cluster!r} has no node named {name!r}; its nodes are {names}."
        )

    def fingerprint(self) -> str:
        """16 hex digits that are equal for members that agree, and for no others."""
        agreed = (
            (self.cluster, self.epoch, self.partitions, self.token_hash, self.token_seed),
            [(n.number, n.name, n.peer, n.dc, n.rack, n.host, float(n.weight)) for n in self.nodes],
        )
        return hashlib.blake2b(msgspec.json.encode(agreed), digest_size=8).hexdigest()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        fields = [field for field in self.__struct_fields__ if field != "secret"]
        return [(field, getattr(self, field)) for field in fields]

    def __repr__(self) -> str:
        return f"Topology({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def _numbered(nodes: Sequence[NodeSpec]) -> tuple[NodeSpec, ...]:
    """In the order of their numbers, which they get here if they have none."""
    if all(node.number != UNNUMBERED for node in nodes):
        return tuple(sorted(nodes, key=lambda node: node.number))
    return tuple(
        msgspec.structs.replace(node, number=number)
        for number, node in enumerate(sorted(nodes, key=_by_name))
    )


def _by_name(node: NodeSpec) -> tuple[list[str | int], str]:
    """Sorts by name, runs of digits by their number."""
    parts = re.split(r"([0-9]+)", node.name)
    return [int(part) if part.isdigit() else part for part in parts], node.name


def _derived_secret(cluster: str) -> bytes:
    return hashlib.blake2b(cluster.encode(), person=b"kvorum secret").digest()


# What makes a topology valid


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Put `where` in front of the message of any ConfigError raised inside."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", **error.details) from error


def _check_cluster(topology: Topology) -> None:
    with naming("cluster"):
        check_name(topology.cluster)
    with naming("epoch"):
        check_range(topology.epoch, 1, EPOCH_MAX)
    with naming("partitions"):
        _check_partitions(topology.partitions)
    with naming("token_hash"):
        check_choice(topology.token_hash, tuple(TOKEN_HASHES))
    with naming("token_seed"):
        check_range(topology.token_seed, 0, SEED_MAX)
        if topology.token_hash == "md5" and topology.token_seed:
            raise ConfigError("md5 takes no seed. Leave it out, or use murmur3.")
    with naming("secret"):
        if 0 < len(topology.secret) < SECRET_BYTES_MIN:
            raise ConfigError(
                f"{len(topology.secret)} bytes are too few. Write a random one of at least "
                f"{SECRET_BYTES_MIN} bytes."
            )
    with naming("secret_file"):
        if topology.secret_file is not None and not (topology.secret_file and topology.secret):
            raise ConfigError(
                f"The secret in the file {topology.secret_file!r} is not given beside its name."
            )


def _check_partitions(partitions: int) -> None:
    check_range(partitions, 1, PARTITIONS_MAX)
    if partitions.bit_count() != 1:
        above = 1 << partitions.bit_length()
        raise ConfigError(
            f"{partitions} is no power of two; the nearest are {above // 2} and {above}."
        )


def _check_nodes(nodes: tuple[NodeSpec, ...]) -> None:
    if not 1 <= len(nodes) <= NODES_MAX:
        raise ConfigError(
            f"A cluster has 1 to {NODES_MAX} nodes, and this one has {len(nodes)}. List each node "
            "in a [[nodes]] table of its own."
        )
    names: set[str] = set()
    for node in nodes:
        with naming(f"node {node.name!r}"):
            _check_node(node)
            if node.name in names:
                raise ConfigError("Two nodes have this name. Rename one of them.")
            names.add(node.name)
    _check_numbers(nodes)
    _check_addresses(nodes)


def _check_node(node: NodeSpec) -> None:
    for field in ("name", "dc", "rack", "host"):
        with naming(field):
            check_name(getattr(node, field))
    with naming("weight"):
        check_range(node.weight, WEIGHT_MIN, WEIGHT_MAX)


def _check_numbers(nodes: tuple[NodeSpec, ...]) -> None:
    """All nodes have numbers of their own, or none has one."""
    owners: dict[int, str] = {}
    for node in nodes:
        if node.number == UNNUMBERED:
            continue
        with naming(f"node {node.name!r}: number"):
            check_range(node.number, 0, NUMBER_MAX)
            if node.number in owners:
                raise ConfigError(
                    f"Node {owners[node.number]!r} has the number {node.number} already; give "
                    f"{node.name!r} another one that no node of the cluster ever had."
                )
            owners[node.number] = node.name
    if owners and len(owners) < len(nodes):
        without = next(node.name for node in nodes if node.number == UNNUMBERED)
        raise ConfigError(
            f"node {without!r}: it has no number and other nodes have one; give it one that no "
            "node of the cluster ever had, or leave the numbers out everywhere."
        )


def _check_addresses(nodes: tuple[NodeSpec, ...]) -> None:
    """All addresses differ, and where there are several nodes, each can be connected to."""
    alone = len(nodes) == 1
    owners: dict[tuple[str, int], str] = {}
    for node in nodes:
        for field in ("http", "peer"):
            owner, text = f"node {node.name!r}: {field}", getattr(node, field)
            if alone and field == "peer" and not text:
                continue
            with naming(owner):
                address = parse_address(text)
                if address.is_wildcard and not alone:
                    raise ConfigError(f"Other nodes cannot reach {text!r}. Name one interface.")
                if address in owners:
                    raise ConfigError(
                        f"The address {text!r} is also that of {owners[address]}. Change one of "
                        "them."
                    )
                owners[address] = owner


def check_namespace(name: str, settings: NamespaceSettings, nodes: int) -> None:
    """Raises ConfigError, which names the field, if a cluster of so many nodes cannot have it."""
    with naming(f"namespace {name!r}"):
        if not is_namespace_name(name):
            raise bad_name(name)
        with naming("replicas"):
            if settings.replicas > nodes:
                raise ConfigError(
                    f"{settings.replicas} replicas need as many nodes, and the cluster has "
                    f"{nodes}. Lower it, or add nodes."
                )
            check_range(settings.replicas, 1, nodes)
        _check_ranges(
            settings,
            read=(1, settings.replicas),
            write=(1, settings.replicas),
            timeout_ms=(1, TIMEOUT_MS_MAX),
            ttl=(0, TTL_S_MAX),
            compression_level=(1, COMPRESSION_LEVEL_MAX),
        )
        for field, words in _WORDS.items():
            with naming(field):
                check_choice(getattr(settings, field), words)
        _check_memory(settings)


def _check_ranges(settings: NamespaceSettings, **ranges: tuple[int, int]) -> None:
    for field, (low, high) in ranges.items():
        with naming(field):
            check_range(getattr(settings, field), low, high)


def _check_memory(settings: NamespaceSettings) -> None:
    with naming("max_memory"):
        if settings.durability == "none" and not settings.max_memory:
            raise ConfigError(
                "It is missing, and entries kept in memory need a bound. Give the bytes that each "
                f"node may use for them, {MEMORY_BYTES_MIN} to {MEMORY_BYTES_MAX}."
            )
        if settings.durability == "none":
            check_range(settings.max_memory, MEMORY_BYTES_MIN, MEMORY_BYTES_MAX)
        elif settings.max_memory:
            raise ConfigError(
                "It bounds only entries kept in memory. Leave it out, or choose the durability "
                "'none'."
            )

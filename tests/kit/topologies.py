"""Topologies for tests: a builder that invents the addresses, and hypothesis strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from kvorum.model.topology import (
    EPOCH_MAX,
    SEED_MAX,
    TIMEOUT_MS_MAX,
    WEIGHT_MAX,
    WEIGHT_MIN,
    NamespaceSettings,
    NodeSpec,
    Topology,
)

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
WEIGHTS = st.floats(WEIGHT_MIN, WEIGHT_MAX)
LABELS = st.sampled_from(["default", "a", "b", "c"])

_FIRST_PORT = 1024


def node(index: int, **fields: Any) -> NodeSpec:
    """A node called n1 for index 0, n2 for index 1, ... unless `fields` name it otherwise."""
    port = _FIRST_PORT + 2 * index
    addresses = {"http": f"127.0.0.1:{port}", "peer": f"127.0.0.1:{port + 1}"}
    return NodeSpec(**{"name": f"n{index + 1}", **addresses, **fields})


def cluster(nodes: Sequence[NodeSpec], replicas: int | None = None, **fields: Any) -> Topology:
    settings = {} if replicas is None else {"default": NamespaceSettings.majority(replicas)}
    return Topology(**{"cluster": "test", "nodes": tuple(nodes), "namespaces": settings, **fields})


def even_cluster(
    count: int,
    replicas: int,
    labels: Callable[[int], dict[str, Any]] = lambda index: {},
    **fields: Any,
) -> Topology:
    """`count` nodes, alike but for what `labels` says of each."""
    return cluster([node(i, **labels(i)) for i in range(count)], replicas, **fields)


@st.composite
def namespace_settings(draw: st.DrawFn, nodes: int) -> NamespaceSettings:
    replicas = draw(st.integers(1, nodes))
    return NamespaceSettings(
        replicas=replicas,
        read=draw(st.integers(1, replicas)),
        write=draw(st.integers(1, replicas)),
        durability=draw(st.sampled_from(["fsync", "os"])),
        timeout_ms=draw(st.integers(1, TIMEOUT_MS_MAX)),
    )


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Any topology of up to eight nodes, with its secret in a file or derived."""
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    nodes = [
        node(
            i,
            name=name,
            dc=draw(LABELS),
            rack=draw(LABELS),
            host=draw(st.one_of(st.just(""), NAMES)),
            weight=draw(WEIGHTS),
        )
        for i, name in enumerate(names)
    ]
    filed: dict[str, Any] = {}
    if draw(st.booleans()):
        path = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
        filed = {"secret_file": draw(path), "secret": draw(st.binary(min_size=16, max_size=64))}
    token_hash = draw(st.sampled_from(["murmur3", "md5"]))
    return cluster(
        nodes,
        cluster=draw(NAMES),
        epoch=draw(st.integers(1, EPOCH_MAX)),
        partitions=1 << draw(st.integers(0, 16)),
        token_hash=token_hash,
        token_seed=draw(st.integers(0, SEED_MAX)) if token_hash == "murmur3" else 0,
        namespaces=draw(st.dictionaries(NAMES, namespace_settings(len(nodes)), max_size=3)),
        **filed,
    )

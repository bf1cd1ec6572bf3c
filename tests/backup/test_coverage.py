"""Which snapshots must hold every acknowledged write: against all ways to acknowledge one."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.backup.coverage import Coverage, Gap, Part, coverage
from kvorum.model.placement import Placement
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.topology import NamespaceSettings, NodeSpec, Topology

PARTITIONS = 16


def cluster(nodes: int, **namespaces: NamespaceSettings) -> Topology:
    specs = tuple(
        NodeSpec(name=f"n{i}", http=f"127.0.0.1:{7000 + i}", peer=f"127.0.0.1:{8000 + i}")
        for i in range(nodes)
    )
    return Topology(cluster="c", nodes=specs, partitions=PARTITIONS, namespaces=namespaces)


def token_of(partition: int) -> bytes:
    return (partition << 60).to_bytes(8)


@st.composite
def snapshots(draw: st.DrawFn) -> tuple[Topology, list[Part]]:
    nodes = draw(st.integers(1, 6))
    replicas = draw(st.integers(1, nodes))
    settings = NamespaceSettings(
        replicas=replicas,
        read=1,
        write=draw(st.integers(1, replicas)),
        quorum=draw(st.sampled_from(["strict", "sloppy"])),
    )
    topology = cluster(nodes, default=settings)
    parts = [
        Part(
            spec.name,
            topology,
            draw(st.booleans()) or draw(st.booleans()),
            draw(st.frozensets(st.sampled_from([token_of(3), token_of(9)]))),
        )
        for spec in topology.nodes
        if draw(st.booleans()) or draw(st.booleans())
    ]
    return topology, parts


def may_be_missing(topology: Topology, parts: list[Part], token: bytes) -> bool:
    """True if some W nodes could have acknowledged a write at `token` that no part tells of."""
    settings = topology.namespaces["default"]
    placement = Placement(topology)
    owners = placement.owners(placement.partition(token), PlacementRule(settings.replicas))
    voters = range(len(topology.nodes)) if settings.quorum == "sloppy" else owners
    telling = {
        topology.number_of(part.node) for part in parts if part.whole and token not in part.unread
    }
    return any(not telling & set(have) for have in combinations(voters, settings.write))


@given(snapshots())
def test_it_is_complete_just_where_no_acknowledged_write_can_be_missing(
    case: tuple[Topology, list[Part]],
) -> None:
    topology, parts = case
    if not parts:
        return
    found = coverage(parts, ["default"])
    # Of a partition's tokens none but these two are damaged anywhere.
    lost = {
        partition
        for partition in range(PARTITIONS)
        if may_be_missing(topology, parts, token_of(partition)[:-1] + b"\1")
    }
    assert sum(gap.partitions for gap in found.gaps) == len(lost)
    damaged = {
        token
        for token in (token_of(3), token_of(9))
        if any(token in part.unread for part in parts if part.whole)
        and may_be_missing(topology, parts, token)
        and int.from_bytes(token) >> 60 not in lost
    }
    assert found.damaged == len(damaged)
    given_nodes = {part.node for part in parts}
    assert set(found.missing) == {spec.name for spec in topology.nodes} - given_nodes
    assert found.complete == (not lost and not damaged)


def test_one_of_five_nodes_is_too_few() -> None:
    topology = cluster(5)
    found = coverage([Part("n0", topology, True)], ["default"])
    assert found == Coverage(
        ("n1", "n2", "n3", "n4"), (), (Gap("default", PARTITIONS, PARTITIONS),), 0
    )
    four = [Part(f"n{i}", topology, True) for i in range(4)]
    assert coverage(four, ["default"]).complete


def test_a_node_that_had_lost_its_data_speaks_for_nothing() -> None:
    topology = cluster(3)
    parts = [Part("n0", topology, True), Part("n1", topology, False)]
    found = coverage(parts, ["default"])
    assert (found.missing, found.forgetful, found.complete) == (("n2",), ("n1",), False)


def test_a_namespace_in_memory_is_in_no_snapshot() -> None:
    volatile = NamespaceSettings(
        replicas=3, read=2, write=2, durability="none", max_memory=64 << 20
    )
    parts = [Part("n0", cluster(3, volatile=volatile), True)]
    assert coverage(parts, ["volatile"]).complete


def test_a_namespace_that_is_in_no_file_any_more_needs_all_nodes() -> None:
    topology = cluster(3)
    parts = [Part(f"n{i}", topology, True) for i in range(3)]
    assert coverage(parts, ["gone"]).complete
    assert not coverage(parts[1:], ["gone"]).complete


@pytest.mark.parametrize("present", list(combinations(range(4), 3)))
def test_it_has_to_hold_under_each_topology(present: tuple[int, ...]) -> None:
    """With W lowered in between, three of four nodes are not enough for what was written since."""
    majority = NamespaceSettings(replicas=3, read=2, write=2)
    one = NamespaceSettings(replicas=3, read=2, write=1)
    before, after = cluster(4, default=majority), cluster(4, default=one)
    parts = [Part(f"n{i}", before, True) for i in present]
    assert coverage(parts, ["default"]).complete
    mixed = [parts[0]._replace(topology=after), *parts[1:]]
    alone = coverage([part._replace(topology=after) for part in parts], ["default"])
    assert coverage(mixed, ["default"]).gaps == alone.gaps != ()

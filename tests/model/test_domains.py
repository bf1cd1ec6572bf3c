from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.topologies import node

from kvorum.model.domains import FaultDomains
from kvorum.model.topology import NodeSpec

Label = Callable[[NodeSpec], tuple[str, ...]]


def dc(spec: NodeSpec) -> tuple[str, ...]:
    return (spec.dc,)


def rack(spec: NodeSpec) -> tuple[str, ...]:
    return (spec.dc, spec.rack)


def host(spec: NodeSpec) -> tuple[str, ...]:
    return (spec.dc, spec.rack, spec.host)


@st.composite
def sites(draw: st.DrawFn, largest: int = 10) -> tuple[list[NodeSpec], int]:
    """Nodes, and how many copies to place on them."""
    # So skewed that domains with several nodes are as common as lone ones.
    labels = st.tuples(*map(st.sampled_from, ("aaab", "aab", "abc")))
    placed = draw(st.lists(labels, min_size=1, max_size=largest))
    weight = st.sampled_from([0.5, 1.0, 2.0, 10.0])
    specs = [
        node(i, dc=d, rack=r, host=h, weight=draw(weight)) for i, (d, r, h) in enumerate(placed)
    ]
    return specs, draw(st.integers(1, len(specs)))


def counts(specs: Iterable[NodeSpec], label: Label) -> Counter[tuple[str, ...]]:
    return Counter(label(spec) for spec in specs)


def dumb_candidates(specs: list[NodeSpec], nodes: list[int]) -> set[int]:
    """The rule as it is stated: the fewest on the host, then in the rack, then in the dc."""
    chosen = [specs[i] for i in nodes]

    def crowd(i: int) -> tuple[int, ...]:
        return tuple(counts(chosen, label)[label(specs[i])] for label in (host, rack, dc))

    free = [i for i in range(len(specs)) if i not in nodes]
    return {i for i in free if crowd(i) == min(map(crowd, free))}


def place(
    domains: FaultDomains, specs: list[NodeSpec], copies: int, pick: st.DataObject
) -> list[int]:
    nodes: list[int] = []
    while len(nodes) < copies:
        fitting = [i for i in range(len(specs)) if domains.may_add(nodes, i)]
        nodes.append(pick.draw(st.sampled_from(fitting)))
    return nodes


@given(sites(), st.data())
def test_the_next_copy_goes_where_the_fewest_are(
    site: tuple[list[NodeSpec], int], pick: st.DataObject
) -> None:
    specs, copies = site
    domains = FaultDomains(specs, copies)
    nodes: list[int] = []
    while len(nodes) < copies:
        fitting = {i for i in range(len(specs)) if domains.may_add(nodes, i)}
        assert fitting == dumb_candidates(specs, nodes)
        nodes.append(pick.draw(st.sampled_from(sorted(fitting))))


@given(sites(), st.data())
def test_copies_are_on_as_many_hosts_racks_and_dcs_as_there_can_be(
    site: tuple[list[NodeSpec], int], pick: st.DataObject
) -> None:
    specs, copies = site
    chosen = [specs[i] for i in place(FaultDomains(specs, copies), specs, copies, pick)]
    for label in (host, rack, dc):
        assert len(counts(chosen, label)) == min(copies, len(counts(specs, label)))


@given(sites(largest=7), st.data())
def test_a_replacement_is_allowed_exactly_if_the_result_could_have_been_placed(
    site: tuple[list[NodeSpec], int], pick: st.DataObject
) -> None:
    specs, copies = site
    domains = FaultDomains(specs, copies)
    nodes = place(domains, specs, copies, pick)
    possible = all_placements(domains, specs, copies)
    for old, new in product(nodes, range(len(specs))):
        result = frozenset(new if i == old else i for i in nodes)
        allowed = new not in nodes and result in possible
        assert domains.may_replace(nodes, old, new) == allowed


@pytest.mark.parametrize(("old", "new"), [(2, 5), (4, 3)])
def test_a_replacement_may_not_empty_a_host_to_fill_another(old: int, new: int) -> None:
    specs = [node(i, host="xyz"[i // 2]) for i in range(6)]
    assert not FaultDomains(specs, 4).may_replace([0, 1, 2, 4], old, new)


def all_placements(
    domains: FaultDomains, specs: list[NodeSpec], copies: int
) -> set[frozenset[int]]:
    found: set[frozenset[int]] = {frozenset()}
    for _ in range(copies):
        found = {
            nodes | {i}
            for nodes in found
            for i in range(len(specs))
            if domains.may_add(sorted(nodes), i)
        }
    return found


@given(sites())
def test_fair_shares_sum_to_the_copies_and_are_one_partition_each_at_most(
    site: tuple[list[NodeSpec], int],
) -> None:
    specs, copies = site
    shares = FaultDomains(specs, copies).fair_shares()
    assert sum(shares) == pytest.approx(copies)
    assert all(0 <= share <= 1 + 1e-9 for share in shares)


@given(sites())
def test_a_fair_share_is_fair_no_node_in_a_domain_could_gain_at_a_better_ones_cost(
    site: tuple[list[NodeSpec], int],
) -> None:
    """Of two nodes on one host, the one with less per weight is at its limit of one copy."""
    specs, copies = site
    shares = FaultDomains(specs, copies).fair_shares()
    for a, b in combinations(range(len(specs)), 2):
        if host(specs[a]) == host(specs[b]):
            poor, rich = sorted((a, b), key=lambda i: shares[i] / specs[i].weight)
            level = shares[poor] / specs[poor].weight
            assert shares[poor] >= 1 - 1e-9 or shares[rich] <= level * specs[rich].weight + 1e-9


@pytest.mark.parametrize(
    ("nodes", "copies", "shares"),
    [
        # No domains: by weight ...
        ([{}, {}, {}, {}], 3, [0.75, 0.75, 0.75, 0.75]),
        ([{"weight": 2}, {}, {}, {}], 2, [0.8, 0.4, 0.4, 0.4]),
        # ... but each partition once at most; the others share what is left.
        ([{"weight": 10}, {}, {}], 2, [1, 0.5, 0.5]),
        # Two dcs of three copies: the small one has one of everything at least.
        ([{"dc": "a"}] * 6 + [{"dc": "b"}], 3, [1 / 3] * 6 + [1]),
        ([{"dc": "a"}] * 8 + [{"dc": "b"}] * 2, 3, [0.25] * 8 + [0.5] * 2),
        # Three racks of three copies: one copy each, whatever their size.
        (
            [{"rack": "a"}] * 2 + [{"rack": "b"}] + [{"rack": "c"}] * 4,
            3,
            [0.5] * 2 + [1] + [0.25] * 4,
        ),
        # Two nodes on a host count as one host.
        ([{"host": "x"}, {"host": "x"}, {}, {}], 3, [0.5, 0.5, 1, 1]),
    ],
)
def test_fair_shares_worked_by_hand(
    nodes: list[dict[str, object]], copies: int, shares: list[float]
) -> None:
    specs = [node(i, **fields) for i, fields in enumerate(nodes)]
    assert FaultDomains(specs, copies).fair_shares() == pytest.approx(shares)

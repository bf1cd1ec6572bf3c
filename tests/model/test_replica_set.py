from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.replica_set import Quorum, ReplicaSet
from kvorum.model.tally import Tally


@st.composite
def replica_sets(draw: st.DrawFn) -> ReplicaSet:
    """Steady or changing, under a strict or a sloppy quorum."""
    nodes = draw(st.permutations(range(9)))
    owners, natural = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    natural = min(owners, natural)
    return ReplicaSet(
        epoch=draw(st.integers(1, 9)),
        natural=tuple(nodes[:natural]),
        pending=tuple(nodes[natural:owners]),
        leaving=tuple(draw(st.lists(st.sampled_from(nodes[:natural]), unique=True))),
        fallbacks=tuple(draw(st.sampled_from([[], nodes[owners:]]))),
    )


@given(replica_sets())
def test_what_follows_agrees_with_sets(replicas: ReplicaSet) -> None:
    natural, pending = {*replicas.natural}, {*replicas.pending}
    assert replicas.preference == replicas.natural + replicas.fallbacks
    assert {*replicas.owners} == natural | pending
    assert {*replicas.next_owners} == natural - {*replicas.leaving} | pending
    assert len({*replicas.next_owners}) == len(replicas.next_owners)
    assert replicas.is_changing == (({*replicas.next_owners}) != natural)


@given(replica_sets(), st.integers(1, 4))
def test_a_write_needs_a_quorum_of_each_set_of_owners(replicas: ReplicaSet, needed: int) -> None:
    quorums = replicas.write_quorums(needed)
    assert all(quorum.needed == needed for quorum in quorums)
    wanted = {frozenset(replicas.natural), frozenset(replicas.next_owners)}
    assert {frozenset(quorum.members) for quorum in quorums} == wanted
    assert len(quorums) == len(wanted)
    assert {node for quorum in quorums for node in quorum.members} == {*replicas.owners}


def majority(owners: tuple[int, ...]) -> int:
    return len(owners) // 2 + 1


def won(quorums: tuple[Quorum, ...], owners: tuple[int, ...], acked: list[int]) -> bool:
    tally = Tally(quorums, owners)
    for node in acked:
        tally.ack(node)
    return tally.won


@given(st.data(), st.integers(1, 5), st.integers(0, 5))
def test_what_is_stored_before_during_and_after_a_change_is_found(
    data: st.DataObject, copies: int, moved: int
) -> None:
    """With as many copies after the change as before, and majorities: whatever nodes a write of
    one epoch has, a majority of the owners in that epoch and in the next one includes one of them.
    """
    nodes = data.draw(st.permutations(range(12)))
    moved = min(moved, copies)
    old, new = tuple(nodes[:copies]), tuple(nodes[moved : copies + moved])
    before = ReplicaSet(epoch=1, natural=old)
    during = ReplicaSet(epoch=2, natural=old, pending=new[copies - moved :], leaving=old[:moved])
    after = ReplicaSet(epoch=3, natural=new)
    assert {*during.next_owners} == {*new}
    needed = majority(old)
    acked = data.draw(st.lists(st.sampled_from(nodes[: copies + moved]), unique=True))
    for written, read in ((before, during), (during, before), (during, after), (after, after)):
        stored = [node for node in acked if node in written.owners]
        if not won(written.write_quorums(needed), written.owners, stored):
            continue
        asked = data.draw(st.permutations(read.natural))[:needed]
        assert {*asked} & {*stored}

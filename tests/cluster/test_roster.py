"""Lists merge in any order; the owner of a life has the last word; lies are left out."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.cluster.roster import AHEAD_MS_MAX, CLOCK_FLOOR_MS, HEARTBEAT_MAX, Claim, Roster
from kvorum.cluster.settings import MembershipSettings
from kvorum.wire.messages import GossipDelta, GossipDigest

SETTINGS = MembershipSettings()
WALL_MS = CLOCK_FLOOR_MS + 1_000_000
LATEST = WALL_MS + AHEAD_MS_MAX
NODES = 5

Life = tuple[int, int]
lives = st.tuples(st.integers(WALL_MS - 3, WALL_MS + 3), st.integers(0, 5))
claims = st.lists(
    st.tuples(st.integers(1, NODES - 1), lives).map(lambda c: (c[0], *c[1], 9)), max_size=NODES
)


def roster(local: int = 0, wall_ms: int = WALL_MS, nodes: int = NODES) -> Roster:
    return Roster(range(nodes), local, SETTINGS, 0.0, wall_ms)


def known(of: Roster) -> list[Life]:
    return [member.life for member in of.members.values()]


def exchange(a: Roster, b: Roster) -> None:
    """Digest, delta, delta."""
    digest = a.digest()
    b.accusations(a.local, digest, 1.0)
    answer = b.answer(digest, WALL_MS)
    a.absorb(answer.members, 1.0, WALL_MS)
    b.absorb(a.news(answer.wanted), 1.0, WALL_MS)


@given(st.lists(claims, max_size=4))
def test_claims_merge_in_any_order_however_often(batches: list[list[Claim]]) -> None:
    one, other = roster(), roster()
    for batch in batches:
        one.absorb(batch, 1.0, WALL_MS)
    for batch in [*reversed(batches), *batches]:
        other.absorb(batch[::-1], 1.0, WALL_MS)
    assert known(one) == known(other)
    largest = [(0, 0)] * NODES
    for node, generation, heartbeat, _ in itertools.chain(*batches):
        largest[node] = max(largest[node], (generation, heartbeat))
    assert known(one)[1:] == largest[1:]


@given(claims, claims)
def test_after_one_exchange_both_know_what_either_knew(
    first: list[Claim], second: list[Claim]
) -> None:
    a, b = roster(0), roster(1)
    a.absorb([claim for claim in first if claim[0] != 1], 1.0, WALL_MS)
    b.absorb([claim for claim in second if claim[0] != 1], 1.0, WALL_MS)
    wanted = [max(pair) for pair in zip(known(a), known(b), strict=True)]
    exchange(a, b)
    assert known(a) == known(b) == wanted


def test_lists_that_agree_exchange_no_news() -> None:
    a, b = roster(0), roster(1)
    exchange(a, b)
    assert b.answer(a.digest(), WALL_MS) == GossipDelta([], [])


def test_a_restart_outranks_the_former_life_though_its_clock_went_back() -> None:
    peer, former = roster(0), roster(1)
    for _ in range(50):
        former.beat(WALL_MS)
    exchange(former, peer)
    reborn = roster(1, wall_ms=WALL_MS - 3_600_000)
    exchange(reborn, peer)
    exchange(reborn, peer)
    assert reborn.members[1].life[0] == former.members[1].life[0] + 1
    assert peer.members[1].life == reborn.members[1].life


@pytest.mark.parametrize("wall_ms", [0, -5, 12_345])
def test_a_clock_that_starts_in_1970_can_still_take_part(wall_ms: int) -> None:
    peer, reborn = roster(0), roster(1, wall_ms=wall_ms)
    peer.absorb([(1, WALL_MS, 7, 0)], 0.0, WALL_MS)
    answer = peer.answer(reborn.digest(), WALL_MS)
    reborn.absorb(answer.members, 1.0, wall_ms)
    assert reborn.refused == 0
    assert reborn.members[1].life > (WALL_MS, 7)
    assert reborn.members[0].life == peer.members[0].life


def test_the_accused_raises_its_life_above_the_accused_one() -> None:
    accuser, accused = roster(0), roster(1)
    exchange(accused, accuser)
    life = accused.members[1].life
    accuser.members[1].suspect(5.0)
    exchange(accuser, accused)
    assert accuser.members[1].life == accused.members[1].life > life


def test_only_accusations_without_later_news_here_count() -> None:
    accuser, judge, accused = roster(0), roster(1), roster(2)
    exchange(accused, accuser)
    accused.beat(WALL_MS)
    exchange(accused, judge)
    accuser.members[2].suspect(5.0)
    assert judge.accusations(0, accuser.digest(), 6.0) == []
    accuser.absorb(judge.news([2]), 5.5, WALL_MS)
    assert judge.accusations(0, accuser.digest(), 6.0) == [2]


def test_heartbeats_that_run_out_begin_a_new_generation() -> None:
    me = roster()
    generation, _ = me.members[0].life
    me.absorb([(0, generation, HEARTBEAT_MAX, 0)], 1.0, WALL_MS)
    assert me.members[0].life == (generation + 1, 1)


def test_dissenters_are_those_of_another_opinion_but_the_dead_soon_have_none() -> None:
    me = roster()
    for sender, accused in ((1, [3]), (2, []), (3, []), (4, [3])):
        me.accusations(sender, GossipDigest([], accused), 1.0)
    assert me.dissenters(2.0) == {0: [], 1: [], 2: [], 3: [1, 4], 4: []}
    me.members[4].suspect(2.0)
    me.members[3].suspect(2.0)
    assert me.dissenters(3.0) == {0: [], 1: [], 2: [], 3: [2], 4: [1, 2, 3]}
    assert me.dissenters(60.0) == {0: [], 1: [], 2: [], 3: [2], 4: [1, 2]}


CREDIBLE: Claim = (1, WALL_MS, 3, WALL_MS)
LIES: list[Claim] = [
    (-1, WALL_MS, 3, 0),
    (NODES, WALL_MS, 3, 0),
    (1 << 63, WALL_MS, 3, 0),
    (2, 0, 3, 0),
    (2, -1, 3, 0),
    (2, LATEST + 1, 3, 0),
    (2, WALL_MS, -1, 0),
    (2, WALL_MS, HEARTBEAT_MAX + 1, 0),
    (2, WALL_MS, 3, -1),
    (2, WALL_MS, 3, LATEST + 1),
    (0, LATEST + 1, 3, 0),
]


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_an_entry_that_cannot_be_true_is_left_out_and_counted(lie: Claim) -> None:
    me, honest = roster(), roster()
    me.absorb([lie, CREDIBLE], 1.0, WALL_MS)
    honest.absorb([CREDIBLE], 1.0, WALL_MS)
    assert known(me) == known(honest)
    assert me.refused == 1


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie[3] == 0], ids=str)
def test_a_digest_that_lies_makes_us_want_nothing(lie: Claim) -> None:
    me = roster()
    answer = me.answer(GossipDigest([lie[:3]], [lie[0]]), WALL_MS)
    assert answer.wanted == []
    assert me.refused == 1


def test_no_more_entries_are_read_than_there_are_nodes() -> None:
    me = roster()
    me.absorb([CREDIBLE] * (NODES + 7), 1.0, WALL_MS)
    assert me.refused == 7
    assert len(me.news([1] * 1000)) == NODES
    assert me.refused == 7 + 995


def test_a_digest_of_the_largest_cluster_is_small() -> None:
    me = roster(nodes=1000)
    me.absorb([(node, WALL_MS, 99_999, 0) for node in range(1, 1000)], 1.0, WALL_MS)
    assert len(msgspec.msgpack.encode(me.digest())) < 20_000

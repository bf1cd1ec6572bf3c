from __future__ import annotations

from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.replica_set import Quorum
from kvorum.model.tally import Tally

FALLBACKS = (20, 21, 22, 23)


class Said(NamedTuple):
    """`node` acknowledged, or missed the record; or nobody is going to store it for `node`."""

    what: Literal["ack", "miss", "give up"]
    node: int


class Vote(NamedTuple):
    quorums: tuple[Quorum, ...]
    owners: tuple[int, ...]
    sayings: list[Said]


class DumbTally:
    """Remembers everything that happened and works each answer out from the start."""

    def __init__(self, quorums: tuple[Quorum, ...], owners: tuple[int, ...]) -> None:
        self.quorums = quorums
        self.owners = owners
        self.stand_ins: dict[int, int] = {}
        self.events: list[Said] = []

    def owner_of(self, node: int) -> int:
        return self.stand_ins.get(node, node)

    def decisions(self) -> dict[int, Said]:
        """For each owner that is counted, what counted it: the first of those things."""
        first: dict[int, Said] = {}
        for event in self.events:
            if event.what != "miss":
                first.setdefault(self.owner_of(event.node), event)
        return first

    def served(self) -> set[int]:
        return {owner for owner, event in self.decisions().items() if event.what == "ack"}

    def failed(self) -> set[int]:
        return {owner for owner, event in self.decisions().items() if event.what == "give up"}

    def acked(self) -> list[int]:
        return [event.node for event in self.decisions().values() if event.what == "ack"]

    def won(self) -> bool:
        served = self.served()
        return all(len(served & {*members}) >= needed for needed, members in self.parts())

    def lost(self) -> bool:
        failed = self.failed()
        return any(len({*members} - failed) < needed for needed, members in self.parts())

    def parts(self) -> list[tuple[int, tuple[int, ...]]]:
        return [(quorum.needed, quorum.members) for quorum in self.quorums]

    def bereft(self, node: int) -> int | None:
        """The owner that the last event, a miss of `node`, leaves with nobody."""
        owner = self.owner_of(node)
        *earlier, last = self.events
        replaced = {*self.stand_ins.values()}
        missed = replaced | {event.node for event in earlier if event.what == "miss"}
        if owner in self.decisions() or node in missed:
            return None
        asked = {owner, *(each for each, of in self.stand_ins.items() if of == owner)}
        return owner if asked <= missed | {last.node} else None


@st.composite
def quorums_of(draw: st.DrawFn, owners: tuple[int, ...]) -> tuple[Quorum, ...]:
    def quorum() -> Quorum:
        members = draw(st.lists(st.sampled_from(owners), unique=True, min_size=1))
        return Quorum(draw(st.integers(0, len(members) + 1)), tuple(members))

    everybody = Quorum(draw(st.integers(0, len(owners) + 1)), owners)
    return draw(
        st.one_of(
            st.just((everybody,)),
            st.builds(lambda: (quorum(),)),
            st.builds(lambda: (quorum(), quorum())),
            st.builds(lambda: (quorum(), everybody, quorum())),
        )
    )


@st.composite
def votes(draw: st.DrawFn) -> Vote:
    owners = tuple(draw(st.permutations(range(draw(st.integers(1, 6))))))
    acks = st.builds(Said, st.just("ack"), st.sampled_from(owners + FALLBACKS))
    misses = st.builds(Said, st.just("miss"), st.sampled_from(owners + FALLBACKS))
    given_up = st.builds(Said, st.just("give up"), st.sampled_from(owners))
    sayings = draw(st.lists(st.one_of(acks, misses, given_up), max_size=30))
    return Vote(draw(quorums_of(owners)), owners, sayings)


@given(votes(), st.data())
def test_it_agrees_with_a_tally_that_recounts_everything(vote: Vote, data: st.DataObject) -> None:
    tally, dumb = Tally(vote.quorums, vote.owners), DumbTally(vote.quorums, vote.owners)
    for said in vote.sayings:
        if not tally.takes_part(said.node):
            continue  # nobody asked it, so it says nothing
        dumb.events.append(said)
        if said.what == "ack":
            tally.ack(said.node)
        elif said.what == "give up":
            tally.give_up(said.node)
        else:
            bereft = tally.miss(said.node)
            assert bereft == dumb.bereft(said.node)
            free = [node for node in FALLBACKS if not tally.takes_part(node)]
            if bereft is not None and free and data.draw(st.booleans()):
                tally.stand_in(free[0], bereft)
                dumb.stand_ins[free[0]] = bereft

        assert tally.acked == dumb.acked()
        assert tally.won == dumb.won()
        assert tally.lost == dumb.lost()
        assert tally.complete == (dumb.decisions().keys() == {*vote.owners})
        assert tally.missing == [node for node in vote.owners if node not in dumb.served()]
        assert tally.hinted == sum(node in dumb.stand_ins for node in dumb.acked())
        for node in vote.owners + FALLBACKS:
            assert tally.takes_part(node) == (node in vote.owners or node in dumb.stand_ins)
        needed, got = tally.progress()
        short = {(len({*m} & dumb.served()) - n, n) for n, m in dumb.parts()}
        assert (got - needed, needed) in short
        assert got - needed == min(short)[0]


@given(votes())
def test_a_decision_is_made_once_and_stands(vote: Vote) -> None:
    tally = Tally(vote.quorums, vote.owners)
    decided: tuple[bool, bool] | None = None
    for said in vote.sayings:
        if not is_open(tally):
            decided = decided or (tally.won, tally.lost)
        if not tally.takes_part(said.node):
            tally.stand_in(said.node, vote.owners[0])
        if said.what == "ack":
            tally.ack(said.node)
        elif said.what == "miss":
            tally.miss(said.node)
        else:
            tally.give_up(said.node if said.node in vote.owners else vote.owners[0])
        assert not (tally.won and tally.lost)
        assert decided is None or (tally.won, tally.lost) == decided


@given(votes(), st.data())
def test_repetitions_change_nothing(vote: Vote, data: st.DataObject) -> None:
    once, twice = Tally(vote.quorums, vote.owners), Tally(vote.quorums, vote.owners)
    said = [each for each in vote.sayings if each.node in vote.owners]
    for at, each in enumerate(said):
        for tally in (once, twice):
            _tell(tally, each)
        again = data.draw(st.sampled_from(said[: at + 1]))
        if again.what != "miss":
            _tell(twice, again)
        elif again == each:
            assert twice.miss(again.node) is None
        assert once.acked == twice.acked
        assert once.missing == twice.missing
        assert (once.won, once.lost, once.complete) == (twice.won, twice.lost, twice.complete)


def _tell(tally: Tally, said: Said) -> None:
    act = {"ack": tally.ack, "miss": tally.miss, "give up": tally.give_up}[said.what]
    act(said.node)


# One quorum, of all owners


def is_open(tally: Tally) -> bool:
    """Neither won nor lost yet."""
    return not (tally.won or tally.lost)


def of(needed: int, owners: int) -> Tally:
    everybody = tuple(range(owners))
    return Tally((Quorum(needed, everybody),), everybody)


def test_a_duplicated_ack_is_not_a_second_copy() -> None:
    tally = of(2, 3)
    tally.ack(0)
    tally.ack(0)
    assert is_open(tally)
    tally.ack(1)
    assert tally.won
    assert tally.acked == [0, 1]


def test_an_ack_of_one_that_was_given_up_does_not_count() -> None:
    tally = of(2, 2)
    tally.give_up(1)
    tally.ack(1)
    tally.ack(0)
    assert tally.lost
    assert tally.acked == [0]
    assert tally.missing == [1]
    assert tally.complete


def test_late_acks_are_still_counted_after_the_quorum() -> None:
    tally = of(1, 3)
    for node in (2, 0, 1):
        tally.ack(node)
    assert tally.acked == [2, 0, 1]
    assert tally.complete


@pytest.mark.parametrize(
    ("needed", "owners", "won", "lost"), [(0, 3, True, False), (4, 3, False, True)]
)
def test_some_tallies_are_decided_before_anyone_speaks(
    needed: int, owners: int, won: bool, lost: bool
) -> None:
    tally = of(needed, owners)
    assert (tally.won, tally.lost) == (won, lost)


# Stand-ins


def test_an_owner_and_its_stand_in_are_one_copy_for_the_quorum() -> None:
    tally = of(2, 3)
    assert tally.miss(0) == 0
    tally.stand_in(20, 0)
    tally.ack(20)
    tally.ack(0)
    assert is_open(tally)
    assert (tally.acked, tally.hinted, tally.missing) == ([20], 1, [1, 2])
    tally.ack(1)
    assert tally.won


def test_an_owner_that_comes_back_serves_itself_while_its_stand_in_is_awaited() -> None:
    tally = of(1, 3)
    assert tally.miss(0) == 0
    tally.stand_in(20, 0)
    tally.ack(0)
    assert (tally.acked, tally.hinted, tally.missing) == ([0], 0, [1, 2])
    assert tally.miss(20) is None


def test_a_stand_in_that_fails_leaves_its_owner_without_a_copy() -> None:
    tally = of(3, 3)
    assert tally.miss(0) == 0
    tally.stand_in(20, 0)
    assert tally.miss(20) == 0
    assert tally.miss(20) is None
    tally.stand_in(21, 0)
    for node in (1, 2, 21):
        tally.ack(node)
    assert tally.won
    assert tally.missing == []


def test_who_refuses_and_is_lost_then_gets_one_stand_in() -> None:
    tally = of(2, 3)
    assert tally.miss(0) == 0
    tally.stand_in(20, 0)
    assert tally.miss(0) is None


def test_no_more_is_expected_of_an_owner_somebody_stands_in_for() -> None:
    tally = of(2, 3)
    tally.stand_in(20, 0)
    assert tally.miss(20) == 0
    assert tally.miss(0) is None


def test_an_owner_with_two_stand_ins_is_left_with_nobody_when_both_failed() -> None:
    tally = of(2, 3)
    tally.stand_in(20, 0)
    tally.stand_in(21, 0)
    assert tally.miss(20) is None
    assert tally.miss(21) == 0


def test_an_owner_that_is_served_is_not_given_up() -> None:
    tally = of(1, 2)
    tally.stand_in(20, 0)
    tally.ack(20)
    tally.give_up(0)
    tally.give_up(1)
    assert (tally.won, tally.lost) == (True, False)
    assert tally.missing == [1]


@pytest.mark.parametrize("node", [1, 20])
def test_nobody_takes_part_twice(node: int) -> None:
    tally = of(2, 3)
    tally.stand_in(20, 0)
    with pytest.raises(ValueError, match="takes part in the write already"):
        tally.stand_in(node, 2)


# Several quorums

NOW, NEXT = Quorum(2, (0, 1, 2)), Quorum(2, (0, 3, 4))


def test_each_quorum_is_met_by_its_own_members() -> None:
    tally = Tally((NOW, NEXT), (0, 1, 2, 3, 4))
    for node in (0, 1, 2):
        tally.ack(node)
    assert is_open(tally)
    assert tally.progress() == (2, 1)
    tally.ack(4)
    assert tally.won
    assert tally.missing == [3]


def test_one_quorum_that_cannot_be_met_is_enough_to_lose() -> None:
    tally = Tally((NOW, NEXT), (0, 1, 2, 3, 4))
    for node in (0, 1, 2):
        tally.ack(node)
    tally.give_up(3)
    assert is_open(tally)
    tally.give_up(4)
    assert tally.lost


def test_a_stand_in_serves_its_owner_in_all_its_quorums() -> None:
    tally = Tally((NOW, NEXT), (0, 1, 2, 3, 4))
    tally.stand_in(20, 0)
    tally.stand_in(21, 3)
    tally.ack(20)
    tally.ack(21)
    assert tally.progress() == (2, 1)
    tally.ack(1)
    assert tally.won
    assert tally.hinted == 2


def test_owners_in_no_quorum_are_owed_the_record_all_the_same() -> None:
    tally = Tally((Quorum(2, (0, 1, 2)),), (0, 1, 2, 7, 8))
    for node in (7, 0, 1):
        tally.ack(node)
    assert tally.won
    assert (tally.missing, tally.complete) == ([2, 8], False)
    assert is_open(Tally((Quorum(2, (0, 1, 2)),), (0, 1, 2, 7)))


def test_several_must_include_one_of_them() -> None:
    leader_and_another = (Quorum(1, (0,)), Quorum(2, (0, 1, 2)))
    tally = Tally(leader_and_another, (0, 1, 2))
    tally.ack(1)
    tally.ack(2)
    assert is_open(tally)
    tally.ack(0)
    assert tally.won

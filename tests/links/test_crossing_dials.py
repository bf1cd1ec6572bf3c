"""Two nodes dial each other, and bytes arrive in any pieces and any order of the connections."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.links import End, InMemory, Node, ops, topology

from kvorum.links.limits import LinksLimits

TOPOLOGY = topology(2)


def both(world: InMemory) -> tuple[Node, Node]:
    limits = LinksLimits(greeting_max=3)
    return world.start(0, TOPOLOGY, limits=limits), world.start(1, TOPOLOGY, limits=limits)


@settings(max_examples=100)
@given(st.data())
def test_any_interleaving_ends_with_one_link_and_no_message_lost(data: st.DataObject) -> None:
    world = InMemory()
    a, b = both(world)
    a.send(1, ops(range(5)))
    back = range(100, 103 if data.draw(st.booleans()) else 100)
    b.send(0, ops(back))
    for _ in range(data.draw(st.integers(0, 40))):
        steps = ["turn", *["make"] * bool(world.dials), *["take"] * bool(world.ends)]
        match data.draw(st.sampled_from(steps)):
            case "turn":
                world.runtime.turn()
            case "make":
                world.make(data.draw(st.integers(0, len(world.dials) - 1)))
            case "take":
                data.draw(st.sampled_from(world.ends)).take(data.draw(st.integers(1, 200)))
    settle_with_pauses(world)
    a.send(1, ops([5]))
    b.send(0, ops([105]))
    settle_with_pauses(world)
    assert a.heard == [("up", 1)]
    assert b.heard == [("up", 0)]
    assert b.messages() == ops(range(6))
    assert a.messages() == ops([*back, 105])
    assert world.connections() == 1
    assert a.faults == b.faults == []


def settle_with_pauses(world: InMemory) -> None:
    """Also let pass what is waited before nodes dial again."""
    world.settle()
    world.runtime.pass_time(0.2)
    world.settle()


def test_the_smaller_number_keeps_the_link_it_has_dialed() -> None:
    world = InMemory()
    a, b = both(world)
    a.send(1, ops([1]))
    b.send(0, ops([2]))
    world.make()
    world.make()
    world.settle()
    assert [end.name for end in world.ends if not end.closed] == ["0>1", "1<0"]
    assert (a.messages(), b.messages()) == (ops([2]), ops([1]))


def test_an_open_link_is_not_displaced_by_a_dial_that_comes_late() -> None:
    world = InMemory()
    a, b = both(world)
    a.send(1, ops([1]))
    b.send(0, ops([2]))
    world.make(1)
    world.settle()
    assert world.connections() == 1
    assert a.heard == [("up", 1)]
    assert b.heard == [("up", 0)]
    assert (a.messages(), b.messages()) == (ops([2]), ops([1]))


def test_greetings_that_take_too_long_are_closed_and_tried_again() -> None:
    world = InMemory()
    a, b = both(world)
    a.send(1, ops([1]))
    world.make()
    world.runtime.pass_time(3.1)
    assert ("lost", 1) in a.heard
    assert not a.peers.is_up(1)
    world.runtime.pass_time(0.1)
    a.send(1, ops([2]))
    settle_with_pauses(world)
    assert a.peers.is_up(1)
    assert b.messages() == ops([2])


def test_no_more_connections_greet_at_once_than_may() -> None:
    world = InMemory()
    a, _ = both(world)
    strangers = [Stranger() for _ in range(5)]
    for stranger in strangers:
        world.dials.append((1, 0, stranger))  # type: ignore[arg-type]
        world.make()
    world.settle()
    assert [stranger.closed for stranger in strangers] == [False] * 3 + [True] * 2
    assert len(a.peers.links) == 3
    world.runtime.pass_time(3.1)
    assert a.peers.links == set()


class Stranger:
    """Connects and says nothing."""

    def __init__(self) -> None:
        self.closed = False

    def connected(self, _end: End, _remote: str) -> None:
        """Not looked at."""

    def ended(self) -> None:
        self.closed = True

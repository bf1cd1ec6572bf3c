"""The machine against itself: however bytes are cut, what one says is what the other hears."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.links.handshake import Credentials, Role
from kvorum.links.machine import LinkLimits, LinkMachine, Received, State, Terms, Updated
from kvorum.model.errors import ProtocolError
from kvorum.wire.handshake import NONCE_BYTES, Hello, Reject, Welcome
from kvorum.wire.messages import Message, ViewUpdate, Write, Wrote

SECRET = b"a secret that only the nodes know"
LONG = bytes(range(256)) * (12 << 10)
"""Too long for one frame."""


def hello(node: int) -> Hello:
    name = f"n{node}"
    return Hello("c", "murmur3", 0, 256, 3, "f00d", "beef", name, node, f"{node}" * 32, 1)


def machine(role: Role, limits: LinkLimits | None = None, epoch: int = 3) -> LinkMachine:
    node = 1 if role is Role.DIALER else 2
    terms = Terms(Credentials(hello(node), SECRET), epoch, lambda: 0.0, limits or LinkLimits())
    return LinkMachine(terms, role, bytes([node]) * NONCE_BYTES)


class Pair:
    """A dialer and a listener; the bytes of each for the other wait in `under_way`."""

    def __init__(self) -> None:
        self.machines = {role: machine(role) for role in Role}
        self.under_way = dict.fromkeys(Role, b"")
        self.heard: dict[Role, list[tuple[int, Message]]] = {role: [] for role in Role}
        self.updates: list[ViewUpdate] = []
        for role in Role:
            self.greet(role)

    def greet(self, role: Role) -> None:
        self.write(role, self.machines[role].greetings())

    def write(self, role: Role, frames: list[bytes]) -> None:
        other = Role.LISTENER if role is Role.DIALER else Role.DIALER
        self.under_way[other] += b"".join(frames)

    def pass_on(self, role: Role, size: int) -> None:
        """Hand `role` the next bytes that are under way to it."""
        data, self.under_way[role] = self.under_way[role][:size], self.under_way[role][size:]
        for event in self.machines[role].receive(data):
            if isinstance(event, Received):
                self.heard[role] += [(event.epoch, message) for message in event.messages]
            elif isinstance(event, Updated):
                self.updates.append(event.update)
            elif isinstance(event, Hello):
                self.machines[role].answer(Welcome())
        self.greet(role)

    def open(self) -> Pair:
        while any(self.under_way.values()):
            for role in Role:
                self.pass_on(role, 1 << 20)
        assert all(machine.state is State.OPEN for machine in self.machines.values())
        return self


@given(st.lists(st.tuples(st.sampled_from(list(Role)), st.integers(1, 300)), max_size=60))
def test_any_cut_and_any_order_of_turns_opens_both(turns: list[tuple[Role, int]]) -> None:
    pair = Pair()
    for role, size in turns:
        pair.pass_on(role, size)
    pair.open()
    assert pair.machines[Role.DIALER].theirs == hello(2)
    assert pair.machines[Role.LISTENER].theirs == hello(1)


@given(
    st.lists(st.tuples(st.sampled_from(list(Role)), st.integers(0, 5)), max_size=8),
    st.data(),
)
def test_any_cut_gives_the_same_messages(
    turns: list[tuple[Role, int]], data: st.DataObject
) -> None:
    pair = Pair().open()
    said: dict[Role, list[Message]] = {role: [] for role in Role}
    for role, number in turns:
        messages: list[Message] = [Wrote(len(said[role]) + i) for i in range(number)]
        said[role] += messages
        pair.write(role, pair.machines[role].frames(messages))
        for reader in Role:
            if pair.under_way[reader]:
                pair.pass_on(reader, data.draw(st.integers(1, 100)))
    for reader in Role:
        pair.pass_on(reader, 1 << 20)
    for role, other in ((Role.DIALER, Role.LISTENER), (Role.LISTENER, Role.DIALER)):
        assert pair.heard[other] == [(3, message) for message in said[role]]


def test_the_turn_of_a_long_message_comes_piece_by_piece() -> None:
    pair = Pair().open()
    dialer = pair.machines[Role.DIALER]
    long = Write(1, b"key", LONG)
    pair.write(Role.DIALER, dialer.frames([Wrote(1), long, Wrote(2)]))
    pieces = 0
    while (piece := dialer.next_piece()) is not None:
        pair.write(Role.DIALER, [piece])
        if pieces == 2:
            pair.write(Role.DIALER, dialer.frames([Wrote(3)]))
        pieces += 1
    pair.pass_on(Role.LISTENER, 1 << 30)
    assert pair.heard[Role.LISTENER] == [(3, m) for m in (Wrote(1), Wrote(2), Wrote(3), long)]
    assert pieces > 10


def test_what_waits_is_sent_in_the_epoch_it_was_made_in() -> None:
    pair = Pair().open()
    dialer = pair.machines[Role.DIALER]
    assert dialer.frames([Write(1, b"key", LONG)]) == []
    dialer.advance(4)
    pair.write(Role.DIALER, dialer.frames([Wrote(2)]))
    while (piece := dialer.next_piece()) is not None:
        pair.write(Role.DIALER, [piece])
    pair.pass_on(Role.LISTENER, 1 << 30)
    assert pair.heard[Role.LISTENER] == [(4, Wrote(2)), (3, Write(1, b"key", LONG))]


def test_what_the_other_side_lacks_is_no_message_to_the_node() -> None:
    pair = Pair().open()
    update = ViewUpdate(9, b"entries")
    pair.write(Role.DIALER, pair.machines[Role.DIALER].frames([update]))
    pair.pass_on(Role.LISTENER, 1 << 20)
    assert pair.updates == [update]
    assert pair.heard[Role.LISTENER] == []


def test_who_is_refused_hears_why_and_says_nothing_more() -> None:
    pair = Pair()
    while Role.LISTENER not in (role for role in Role if pair.machines[role].theirs):
        for role in Role:
            data, pair.under_way[role] = pair.under_way[role], b""
            for event in pair.machines[role].receive(data):
                assert isinstance(event, Hello)
                pair.machines[role].answer(Reject("no room"))
            pair.greet(role)
    assert pair.machines[Role.LISTENER].state is State.CLOSING
    [event] = pair.machines[Role.DIALER].receive(pair.under_way[Role.DIALER])
    assert event == Reject("no room")
    assert pair.machines[Role.DIALER].state is State.CLOSING
    assert pair.machines[Role.LISTENER].receive(pair.under_way[Role.LISTENER]) == []


@given(st.data())
def test_damage_is_refused(data: st.DataObject) -> None:
    pair = Pair().open()
    stream = bytearray(pair.machines[Role.DIALER].frames([Wrote(1), Wrote(2)])[0])
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        pair.machines[Role.LISTENER].receive(bytes(stream))


def test_silence_is_counted_in_ticks_and_broken_by_anything() -> None:
    pair = Pair().open()
    dialer, listener = (pair.machines[role] for role in Role)
    signs = [dialer.tick() for _ in range(3)]
    assert None not in signs
    listener.receive(signs[0] or b"")
    dialer.frames([Wrote(1)])
    assert dialer.tick() is None, "it has said something"
    for _ in range(2):
        listener.tick()
    assert not listener.dead
    for ticks in range(1, 5):
        dialer.receive(listener.frames([])[0])
        assert not dialer.dead, ticks
        dialer.tick()
    for _ in range(4):
        dialer.tick()
        assert not dialer.dead
    assert dialer.tick() is None
    assert dialer.dead
    assert dialer.silent_s == 5


WAYS = {
    (State.GREETING, State.OPEN),
    (State.GREETING, State.CLOSING),
    (State.GREETING, State.LOST),
    (State.OPEN, State.CLOSING),
    (State.OPEN, State.LOST),
    (State.CLOSING, State.LOST),
}


@pytest.mark.parametrize(("here", "there"), list(product(State, State)))
def test_there_is_no_other_way_from_state_to_state(here: State, there: State) -> None:
    link = machine(Role.DIALER)
    link.state = here
    if (here, there) in WAYS:
        link.become(there)
        assert link.state is there
    else:
        with pytest.raises(ValueError, match="cannot become"):
            link.become(there)

"""Runs in which some healers are left out: those that are left carry the load alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import cast

import pytest

from kvorum.links.peers import Peers
from kvorum.repair.upkeep import Upkeep
from kvorum.replication.read import ReadOperation
from kvorum.replication.write import WriteOperation
from kvorum.sim.draw import draw
from kvorum.sim.healers import Healers, HealersTransport, Healing
from kvorum.sim.network import Conditions
from kvorum.sim.parameters import Mix, Parameters
from kvorum.sim.run import Report, simulate
from kvorum.wire.messages import Compare, Inventory, Message, Read, Write

PAIRS = frozenset(combinations(range(5), 2))

CUT = Parameters(
    seed=1,
    nodes=5,
    replicas=3,
    read=2,
    write=2,
    operations=120,
    keys=12,
    mix=Mix(get=1.0, put=3.0, update=2.0, delete=0.5),
    sync_s_mean=(0.002,) * 5,
    conditions=Conditions(loss=0.05),
    fault_rates={"partition": 5.0, "break": 5.0},
    upkeep=Upkeep(interval_s=0.5, grace_s=4.0, sweep_s=1.0),
)
"""Nodes stay up, and what they send each other is often lost."""

ALONE = {
    "hints": Healers(read_repair=False, uncompared=PAIRS),
    "read repair": Healers(hints=False, uncompared=PAIRS),
    "anti-entropy": Healers(hints=False, read_repair=False),
    "none": Healers(hints=False, read_repair=False, uncompared=PAIRS),
}


def checks(report: Report) -> set[str]:
    return {violation.partition(":")[0] for violation in report.violations}


@pytest.mark.parametrize("which", ALONE)
def test_each_healer_carries_the_load_alone(which: str) -> None:
    for seed in range(1, 4):
        assert simulate(replace(CUT, seed=seed, healers=ALONE[which])).violations == []


def test_hints_outlive_a_restart_of_all_nodes() -> None:
    assert simulate(replace(CUT, healers=ALONE["hints"], rolling_restart=True)).violations == []


def test_what_hints_promise_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteOperation, "_owe", lambda _self, _owner: None)
    assert "replicas_equal" in checks(simulate(replace(CUT, healers=ALONE["hints"])))
    assert simulate(CUT).violations == []  # the others cover up for it


def test_what_read_repair_promises_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReadOperation, "_repair", lambda _self, _merged: None)
    assert "replicas_equal" in checks(simulate(replace(CUT, healers=ALONE["read repair"])))


class Recorded:
    """Peers that only note what is sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, _node: int, message: Message) -> None:
        self.sent.append(message)

    def is_up(self, _node: int) -> bool:
        return True


def sent(healers: Healers, messages: list[Message], *, awake: bool = False) -> list[Message]:
    """What of `messages` node 0 gets through to node 1."""
    recorded, healing = Recorded(), Healing(healers)
    if awake:
        healing.wake()
    transport = healing.transport(0, cast(Peers, recorded))
    for message in messages:
        transport.send(1, message)
    return recorded.sent


ASKED: list[Message] = [Compare(1, "n3", 0, [], b""), Inventory(2, "n3", b"", b"", [])]
WRITES: list[Message] = [Write(7, b"k", b"r"), Read(8, b"k", b"")]
REPAIR = Write(0, b"k", b"r")


def test_only_what_a_healer_sends_is_not_delivered() -> None:
    everything = [*ASKED, *WRITES, REPAIR]
    assert sent(Healers(), everything) == everything
    assert sent(Healers(read_repair=False), everything) == [*ASKED, *WRITES]
    asleep = Healers(uncompared=frozenset({(0, 1)}))
    assert sent(asleep, everything) == [*WRITES, REPAIR]
    assert sent(asleep, everything, awake=True) == everything


def test_anti_entropy_sleeps_between_some_nodes_only() -> None:
    assert sent(Healers(uncompared=frozenset({(0, 2)})), ASKED) == ASKED


def test_with_all_of_them_a_node_sends_without_a_detour() -> None:
    assert not isinstance(
        Healing(Healers()).transport(0, cast(Peers, Recorded())), HealersTransport
    )


def test_seeds_draw_each_healer_alone_and_all_together() -> None:
    drawn = [draw(seed) for seed in range(200)]
    alone = {(p.healers.hints, p.healers.read_repair, bool(p.healers.uncompared)) for p in drawn}
    assert alone >= {
        (True, True, False),
        (True, False, True),
        (False, True, True),
        (False, False, False),
        (False, False, True),
    }


def test_where_nodes_may_stand_in_there_are_hints() -> None:
    for seed in range(200):
        drawn = draw(seed)
        if any(settings.quorum == "sloppy" for settings in drawn.namespaces.values()):
            assert drawn.healers.hints

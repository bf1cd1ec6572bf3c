"""Tombstones go when nobody needs them any more, and not before."""

from __future__ import annotations

import pytest
from kit.stage import Stage
from test_anti_entropy import CountingStage, made, place

from kvorum.model.errors import ProtocolError
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import Record, decode, digest
from kvorum.model.request import Answer, Delete, Get, Put, Result
from kvorum.replica import tombstones
from kvorum.wire.messages import Forget, Handoff, Message, TombstoneProposal

COLLECTED_S = 170.0
"""Longer than a round, the grace and the asking take together."""
KEY = place("k")


def cluster(nodes: int = 3) -> CountingStage:
    return CountingStage(nodes, 3)


def owners(stage: Stage) -> tuple[int, ...]:
    return stage.placement.owners(stage.placement.partition(KEY[1:9]), PlacementRule(3))


def deleted(stage: Stage, key: str = "k") -> None:
    """A key that was written and deleted at its first owner."""
    first = owners(stage)[0]
    stage.ask(first, Put("default", key, 1, b'"v"'))
    stage.settle()
    stage.ask(first, Delete("default", key))
    stage.settle()


def held(stage: CountingStage, node: int, key: bytes = KEY) -> Record | None:
    data = stage.content(node).get(key)
    return None if data is None else decode(key, data)


def holders(stage: CountingStage) -> list[int]:
    return [node for node in range(len(stage.nodes)) if held(stage, node) is not None]


def answer(results: list[Result]) -> Answer:
    (result,) = results
    assert isinstance(result, Answer), result
    return result


def test_a_tombstone_is_collected_on_all_nodes() -> None:
    stage = cluster(5)
    deleted(stage)
    assert len(holders(stage)) == 3
    stage.wait(COLLECTED_S)
    assert holders(stage) == []
    assert sum(stage.counter(node, "tombstones_collected") for node in range(5)) == 3
    results = stage.ask(0, Get("default", "k"))
    stage.settle()
    assert answer(results).record.context == ()


def test_it_is_not_collected_before_the_grace_has_passed() -> None:
    stage = cluster()
    deleted(stage)
    stage.wait(60)
    assert len(holders(stage)) == 3


def test_one_that_was_there_at_start_is_collected() -> None:
    stage = cluster()
    deleted(stage)
    for node in range(3):
        stage.kill(node)
    for node in range(3):
        stage.restart(node)
    stage.wait(COLLECTED_S)
    assert holders(stage) == []


@pytest.mark.parametrize("away", range(5))
def test_a_node_that_is_away_blocks(away: int) -> None:
    stage = cluster(5)
    away = (owners(stage)[0] + away) % 5
    if away == owners(stage)[0]:
        return
    deleted(stage)
    stage.kill(away)
    stage.wait(COLLECTED_S)
    assert set(holders(stage)) == set(owners(stage))
    stage.restart(away)
    stage.wait(COLLECTED_S)
    assert holders(stage) == []


def test_an_owner_that_missed_the_delete_does_not_bring_the_value_back() -> None:
    stage = cluster()
    first, _, last = owners(stage)
    stage.ask(first, Put("default", "k", 1, b'"v"'))
    stage.settle()
    stage.kill(last)
    stage.ask(first, Delete("default", "k"))
    stage.settle()
    stage.wait(COLLECTED_S)
    stage.restart(last)
    stage.wait(COLLECTED_S)
    assert holders(stage) == []


def test_a_hint_with_the_old_value_blocks() -> None:
    stage = cluster(5)
    first, _, last = owners(stage)
    stand_in = next(node for node in range(5) if node not in owners(stage))
    stage.holds.add((stand_in, last))
    old = made(KEY, (first + 1) << 20 | 1)  # what the delete is about to cover
    replicator = stage.nodes[stand_in]
    assert replicator is not None
    replicator.on_message(first, Handoff(0, KEY, old, last))
    deleted(stage)
    stage.wait(COLLECTED_S)
    assert set(holders(stage)) == {*owners(stage), stand_in}
    stage.holds.clear()
    stage.wait(COLLECTED_S)
    assert holders(stage) == []


def test_a_hint_blocks_even_where_it_is_for_the_tombstone() -> None:
    stage = cluster(5)
    first, _, last = owners(stage)
    stand_in = next(node for node in range(5) if node not in owners(stage))
    deleted(stage)
    stage.holds.add((stand_in, last))
    replicator = stage.nodes[stand_in]
    assert replicator is not None
    replicator.on_message(first, Handoff(0, KEY, stage.content(first)[KEY], last))
    stage.wait(COLLECTED_S)
    assert set(holders(stage)) == {*owners(stage), stand_in}
    stage.holds.clear()
    stage.wait(COLLECTED_S)
    assert holders(stage) == []


def test_the_grace_begins_once_all_owners_have_it() -> None:
    stage = cluster()
    first, second, last = owners(stage)
    stage.wait(100)  # rounds before the delete prove nothing
    stage.ask(first, Put("default", "k", 1, b'"v"'))
    stage.settle()
    stage.holds |= {(first, last), (second, last)}
    stage.ask(first, Delete("default", "k"))
    stage.wait(100)
    assert len(holders(stage)) == 3
    stage.holds.clear()
    stage.wait(55)
    assert [record and record.versions for record in (held(stage, n) for n in range(3))] == [()] * 3
    stage.wait(COLLECTED_S)
    assert holders(stage) == []


def test_a_stand_in_with_another_record_blocks() -> None:
    stage = cluster(5)
    other = next(node for node in range(5) if node not in owners(stage))
    stage.plant(other, KEY, made(KEY, 7))
    deleted(stage)
    stage.wait(COLLECTED_S)
    assert set(holders(stage)) == {*owners(stage), other}


def test_a_read_under_way_blocks() -> None:
    stage = cluster(5)
    _, second, third = owners(stage)
    reader = next(node for node in range(5) if node not in owners(stage))
    deleted(stage)
    stage.holds |= {(second, reader), (third, reader)}
    results = stage.ask(reader, Get("default", "k", 3, 600_000))
    stage.wait(COLLECTED_S)
    assert set(holders(stage)) == set(owners(stage))
    stage.holds.clear()
    stage.settle()
    assert answer(results).record.versions == ()
    stage.wait(COLLECTED_S)
    assert holders(stage) == []


def test_what_is_not_durable_blocks() -> None:
    stage = cluster()
    disk = stage.disks[owners(stage)[1]]
    deleted(stage)
    stage.wait(30)
    disk.held = True
    stage.wait(COLLECTED_S)
    assert len(holders(stage)) == 3
    disk.held = False
    stage.clock.call_soon(disk.sync)
    stage.wait(COLLECTED_S)
    assert holders(stage) == []


class LateOrders(CountingStage):
    """A stage on which orders to forget are held back, with all that follows them."""

    def post(self, sender: int, node: int, message: Message) -> None:
        if isinstance(message, Forget):
            self.holds.add((sender, node))
        super().post(sender, node, message)


def test_a_key_that_was_created_again_is_not_hurt() -> None:
    stage = LateOrders(3, 3)
    first, second, _ = owners(stage)
    deleted(stage)
    seen = held(stage, second)
    assert seen is not None
    stage.wait(COLLECTED_S)
    assert held(stage, first) is None
    assert held(stage, second) is not None
    results = stage.ask(second, Put("default", "k", 1, b'"again"', seen.context))
    stage.settle()
    assert answer(results)
    stage.holds.clear()
    stage.settle()
    again = {stage.content(node)[KEY] for node in range(3)}
    assert len(again) == 1
    assert [v.value for v in decode(KEY, again.pop()).versions] == [b'"again"']


def test_a_later_tombstone_is_not_hurt_by_orders_for_an_earlier_one() -> None:
    stage = cluster()
    first, second, _ = owners(stage)
    deleted(stage)
    earlier = digest(stage.content(second)[KEY])
    deleted(stage)
    replicator = stage.nodes[second]
    assert replicator is not None
    replicator.on_message(first, Forget([(KEY, earlier)]))
    assert held(stage, second) is not None


def test_more_than_can_be_remembered_are_found_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "TOMBSTONES_MAX", 3)
    stage = cluster()
    for i in range(30):
        stage.ask(0, Put("default", f"k{i}", 1, b'"v"'))
        stage.settle()
        stage.ask(0, Delete("default", f"k{i}"))
        stage.settle()
    stage.wait(10 * COLLECTED_S)
    assert [stage.content(node) for node in range(3)] == [{}, {}, {}]


def test_a_value_that_ends_like_a_tombstone_is_none() -> None:
    stage = cluster()
    for node in range(3):
        stage.plant(node, KEY, made(KEY, 1, b"\x90"))
    stage.wait(COLLECTED_S)
    assert len(holders(stage)) == 3


def test_a_peer_cannot_have_a_value_forgotten() -> None:
    stage = cluster()
    stage.ask(0, Put("default", "k", 1, b'"v"'))
    stage.settle()
    replicator = stage.nodes[0]
    assert replicator is not None
    replicator.on_message(1, Forget([(KEY, digest(stage.content(0)[KEY]))]))
    assert held(stage, 0) is not None


@pytest.mark.parametrize("kind", [Forget, lambda entries: TombstoneProposal(1, entries)])
def test_orders_out_of_bounds_are_refused(kind: type[Forget]) -> None:
    replicator = cluster().nodes[0]
    assert replicator is not None
    many = [(b"d" + i.to_bytes(8) + b"default\0k", bytes(8)) for i in range(513)]
    message: Message
    for message in (kind(many), kind([(b"h\0k", bytes(8))]), kind([(KEY, b"short")])):
        with pytest.raises(ProtocolError):
            replicator.on_message(1, message)

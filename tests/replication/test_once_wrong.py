"""What once went wrong between nodes, as the shortest story that shows it."""

from __future__ import annotations

from kit.stage import Stage

from kvorum.model.keys import TOKEN_HASHES, storage_key
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import JSON
from kvorum.model.request import Answer, Get, Put
from kvorum.model.topology import NamespaceSettings
from kvorum.wire.messages import Page, Refused, Same, Wrote

STRICT = NamespaceSettings(replicas=3, read=2, write=2)
SLOPPY = NamespaceSettings(replicas=3, read=2, write=2, quorum="sloppy")


def stored(key: str) -> bytes:
    return storage_key(TOKEN_HASHES["murmur3"](key.encode(), 0), "default", key.encode())


def preference(stage: Stage, key: str) -> tuple[int, ...]:
    return stage.placement.preference(stage.placement.partition(stored(key)[1:9]), PlacementRule(3))


def owed_by(stage: Stage, node: int) -> dict[int, int]:
    """The hints that `node` holds, by the node that they are owed to."""
    replicator = stage.nodes[node]
    assert replicator is not None
    others = [other for other in range(len(stage.nodes)) if other != node]
    return {other: replicator.hints_owed(other) for other in others if replicator.hints_owed(other)}


def test_a_stand_in_that_fails_twice_is_owed_nothing_and_the_owner_once() -> None:
    stage = Stage(5, SLOPPY)
    first, second, away, stand_in, last = preference(stage, "k")
    stage.kill(away)
    stage.kill(last)
    stage.settle()
    stage.holds.add((first, stand_in))
    stage.disks[second].held = True  # so the write has not ended yet
    answers = stage.ask(first, Put("default", "k", JSON, b"1"))
    stage.settle()
    assert [post[:2] for post in stage.posts] == [(first, stand_in)]
    coordinator = stage.nodes[first]
    assert coordinator is not None
    (op,) = coordinator._operations.table
    coordinator.on_message(stand_in, Refused(op, "storage_failed", "no"))
    stage.cut(first, stand_in)
    stage.disks[second].held = False
    stage.disks[second].sync()
    stage.settle()
    assert isinstance(answers[0], Answer)
    assert owed_by(stage, first) == {away: 1}


def test_a_stand_in_that_cannot_read_what_it_holds_does_not_vouch_for_the_write() -> None:
    stage = Stage(5, SLOPPY)
    first, _, away, stand_in, last = preference(stage, "k")
    key = stored("k")
    stage.kill(away)
    stage.settle()
    stage.disks[stand_in].failing.add(key)
    answers = stage.ask(first, Put("default", "k", JSON, b"1", w=3))
    stage.settle()
    assert isinstance(answers[0], Answer)
    assert key not in stage.disks[stand_in].durable
    assert key in stage.disks[last].durable


def test_a_node_that_crashed_calls_the_others_behind_until_it_has_compared() -> None:
    """Its notes of what they missed may not have been synced."""
    stage = Stage(3, STRICT)
    first, second, third = preference(stage, "k")
    stage.kill(third)
    stage.settle()
    put = stage.ask(first, Put("default", "k", JSON, b"1"))
    stage.settle()
    assert isinstance(put[0], Answer)
    # The note of what `third` missed goes with the crash of both that made one.
    for node in (first, second):
        for disk in (stage.disks[node],):
            disk.durable = {k: v for k, v in disk.durable.items() if k[:1] not in b"hm"}
            disk.crash()
        stage.kill(node)
        stage.restart(node, crashed=True)
    stage.restart(third)
    stage.settle()
    newcomer = stage.nodes[third]
    assert newcomer is not None
    assert not {first, second} <= newcomer.owner.coordination._settled
    stage.wait(30)
    assert {first, second} <= newcomer.owner.coordination._settled
    read = stage.ask(third, Get("default", "k", r=1))
    stage.settle()
    assert isinstance(read[0], Answer)
    assert [version.value for version in read[0].record.versions] == [b"1"]


def test_replies_of_a_kind_that_was_not_asked_for_change_nothing() -> None:
    stage = Stage(3, STRICT)
    first, second, _ = preference(stage, "k")
    stage.holds |= {(first, node) for node in range(3)}
    stage.disks[first].held = True
    write = stage.ask(first, Put("default", "k", JSON, b"1"))
    read = stage.ask(first, Get("default", "k", r=3))
    stage.settle()
    coordinator = stage.nodes[first]
    assert coordinator is not None
    operations = coordinator._operations.table
    assert len(operations) == 2
    writing, reading = list(operations)
    coordinator.on_message(second, Same(writing))
    coordinator.on_message(second, Page(writing, [], b""))
    coordinator.on_message(second, Wrote(reading))
    coordinator.on_message(second, Page(reading, [], b""))
    stage.settle()
    assert not write
    assert not read
    assert list(operations) == [writing, reading]


def test_a_peer_that_comes_back_with_an_empty_disk_is_called_lost_for_good() -> None:
    stage = Stage(3, STRICT)
    noted: list[object] = []
    keeper = stage.nodes[0]
    assert keeper is not None
    keeper.on_peer_replaced(1, lambda arg, error: noted.append((arg, error)), "n2")
    assert not noted, "not before it is durable"
    stage.settle()
    assert noted == [("n2", None)]
    assert stage.disks[0].durable[b"mn2"] == b"lost"
    assert keeper.hints(1).missed_more
    stage.cut(0, 1)
    stage.mend(0, 1)
    stage.wait(30)
    assert not keeper.hints(1).missed_more, "until they have compared all they share"

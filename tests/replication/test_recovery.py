"""A node with an empty disk gets back what the others can give, and says what nobody can."""

from __future__ import annotations

import pytest
from kit.stage import Disk, Stage
from test_anti_entropy import CountingStage, made, place

from kvorum.documents.status import Waiting
from kvorum.model.errors import ProtocolError
from kvorum.model.record import EMPTY, JSON, Event, encode, write
from kvorum.model.request import Answer, Failure, Get, Result
from kvorum.replica.pages import PAGE_BYTES_MAX
from kvorum.storage.recovery_note import NOTE
from kvorum.wire.batches import encode_batch
from kvorum.wire.messages import Inventory, Message, Refused, Scan, Shortfall, Survey, Write

N1, N2, N3 = range(3)
OLD, NEW = b'"old"', b'"new"'


class LossyStage(CountingStage):
    """Some messages are lost on their way, and some writes are refused."""

    def __init__(self) -> None:
        self.lost: set[type] = set()
        self.refused: set[bytes] = set()
        super().__init__(3, 3)

    def post(self, sender: int, node: int, message: Message) -> None:
        if type(message) in self.lost:
            return
        if isinstance(message, Write) and message.key in self.refused:
            self.posts.append((node, sender, encode_batch([Refused(message.op, "x", "too much")])))
            return
        super().post(sender, node, message)


@pytest.fixture
def stage() -> LossyStage:
    return LossyStage()


def fill(stage: Stage, names: list[str], value: bytes = OLD) -> None:
    for i, name in enumerate(names):
        key = place(name)
        for disk in stage.disks:
            disk.durable[key] = made(key, i + 1, value)
    for node in range(3):
        stage.kill(node)
    for node in range(3):
        stage.restart(node)
    stage.wait(5)


def wipe(stage: Stage, node: int) -> None:
    """The node comes back with an empty disk, and the others have known another of its name."""
    stage.kill(node)
    stage.disks[node] = disk = Disk(stage.clock)
    del disk.durable[NOTE]
    disk.crash()
    for replicator in stage.nodes:
        if replicator is not None:
            replicator.on_peer_replaced(node, lambda _arg, _error: None, None)
    stage.restart(node)


def damage(stage: Stage, node: int, name: str) -> None:
    key = place(name)
    stage.disks[node].damaged.add(key)
    replicator = stage.nodes[node]
    assert replicator is not None
    replicator.on_damaged(key)


def recovering(stage: Stage, node: int) -> bool:
    replicator = stage.nodes[node]
    assert replicator is not None
    return replicator.recovering


def waiting(stage: Stage, node: int) -> Waiting:
    replicator = stage.nodes[node]
    assert replicator is not None
    return replicator.waiting()


def get(stage: Stage, node: int, name: str, read: int = 1) -> Result:
    answers = stage.ask(node, Get("default", name, read))
    stage.wait(2)
    return answers[0]


def values(result: Result) -> list[bytes]:
    assert isinstance(result, Answer), result
    return [version.value for version in result.record.versions]


def test_two_that_were_damaged_and_one_without_a_disk_get_all_that_is_left(
    stage: LossyStage,
) -> None:
    """None of them waits for another, and it takes a few rounds at most."""
    names = [f"k{i}" for i in range(300)]
    fill(stage, names)
    stage.kill(N3)
    for i, name in enumerate(names):
        damage(stage, i % 2, name)
    wipe(stage, N3)
    stage.wait(20)
    assert not any(recovering(stage, node) for node in range(3))
    assert all(waiting(stage, node).tokens == 0 for node in range(3))
    stage.assert_equal_owners()
    assert len(stage.content(N3)) == 300


def test_what_is_damaged_on_all_others_is_not_denied(stage: LossyStage) -> None:
    fill(stage, ["lost", "kept"])
    stage.kill(N3)
    for node in (N1, N2):
        damage(stage, node, "lost")
    wipe(stage, N3)
    stage.wait(20)
    assert not recovering(stage, N3), "it waits for one key, not with all"
    assert values(get(stage, N3, "kept")) == [OLD]
    for node in range(3):
        assert isinstance(get(stage, node, "lost"), Failure)
    told = waiting(stage, N3)
    assert told.unreadable == 1
    (listed,) = told.unreadable_listed
    assert listed.nodes == ["n1", "n2"]
    assert listed.partition == stage.placement.partition(place("lost")[1:9])
    assert "kvorum rebuild" in told.advice
    stage.kill(N3)
    stage.restart(N3)
    stage.wait(5)
    assert isinstance(get(stage, N3, "lost"), Failure), "a restart does not forget it"


def test_when_the_damage_is_written_over_all_answer_again(stage: LossyStage) -> None:
    fill(stage, ["lost"])
    stage.kill(N3)
    for node in (N1, N2):
        damage(stage, node, "lost")
    wipe(stage, N3)
    stage.wait(20)
    key = place("lost")
    for node in range(3):  # as a coordinator does that overwrites what none can read
        replicator = stage.nodes[node]
        assert replicator is not None
        replicator.on_message((node + 1) % 3, Write(0, key, made(key, 99, NEW)))
    stage.wait(30)
    assert all(waiting(stage, node).tokens == 0 for node in range(3))
    for node in range(3):
        assert values(get(stage, node, "lost", read=3)) == [NEW]


def test_one_sound_owner_is_enough(stage: LossyStage) -> None:
    fill(stage, ["k"])
    stage.kill(N3)
    damage(stage, N1, "k")
    wipe(stage, N3)
    stage.wait(20)
    for node in range(3):
        assert values(get(stage, node, "k", read=3)) == [OLD]


@pytest.mark.parametrize("kind", [Survey, Shortfall])
def test_it_is_not_whole_before_all_have_said_what_they_lack(stage: LossyStage, kind: type) -> None:
    fill(stage, ["k"])
    stage.lost.add(kind)
    wipe(stage, N3)
    stage.wait(60)
    assert recovering(stage, N3)
    stage.lost.clear()
    stage.wait(30)
    assert not recovering(stage, N3)


def test_it_is_not_whole_while_something_could_not_be_stored(stage: LossyStage) -> None:
    fill(stage, ["k", "other"])
    wipe(stage, N3)
    stage.disks[N3].full = True
    stage.wait(60)
    assert recovering(stage, N3)
    assert waiting(stage, N3).to_compare == ["n1", "n2"]
    stage.disks[N3].full = False
    stage.wait(30)
    assert not recovering(stage, N3)
    assert values(get(stage, N3, "k")) == [OLD]


def test_it_is_not_whole_while_one_record_cannot_be_sent(stage: LossyStage) -> None:
    fill(stage, ["k", "other"])
    large = place("k")
    stage.refused.add(large)  # whoever has it cannot give it
    stage.disks[N1].failing.add(large)  # or read it
    stage.disks[N2].failing.add(large)
    wipe(stage, N3)
    stage.wait(60)
    assert recovering(stage, N3)
    stage.refused.clear()
    stage.disks[N1].failing.clear()
    stage.disks[N2].failing.clear()
    stage.wait(30)
    assert values(get(stage, N3, "k")) == [OLD]


def test_tokens_are_not_verified_before_all_could_be_compared(stage: LossyStage) -> None:
    fill(stage, ["k"])
    stage.lost.add(Inventory)
    damage(stage, N1, "k")
    stage.wait(30)
    assert waiting(stage, N1).tokens == 1
    assert waiting(stage, N1).unreadable == 0
    stage.lost.clear()
    stage.wait(10)
    assert waiting(stage, N1).tokens == 0
    assert values(get(stage, N1, "k", read=3)) == [OLD]


def test_two_without_their_disks_take_from_each_other(stage: LossyStage) -> None:
    fill(stage, ["k"])
    for node in (N2, N3):
        stage.kill(node)
    wipe(stage, N2)
    wipe(stage, N3)
    stage.wait(30)
    assert not any(recovering(stage, node) for node in range(3))
    assert values(get(stage, N3, "k", read=3)) == [OLD]


def test_where_nothing_is_shared_nobody_is_waited_for() -> None:
    stage = CountingStage(3, 1)
    stage.wait(5)
    wipe(stage, N3)
    stage.wait(30)
    assert not recovering(stage, N3)


def test_a_page_holds_a_record_of_any_size_alone(stage: LossyStage) -> None:
    replicator = stage.nodes[N1]
    assert replicator is not None
    for name in ("a", "b", "c"):
        key = place(name)
        value = b'"' + bytes([name.encode()[0]]) * (PAGE_BYTES_MAX + 1) + b'"'
        stage.disks[N1].put(
            key, encode(key, write(EMPTY, (), Event(1, 1, 1000), JSON, value)), _ignore, None
        )
    sent: list[Message] = []
    stage.post = lambda _sender, _node, message: sent.append(message)  # type: ignore[method-assign,assignment]
    replicator.on_message(N2, Scan(1, b"d" + bytes(8), b"e", 100))
    (page,) = sent
    assert len(page.pairs) == 1  # type: ignore[union-attr]
    assert page.upto  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "spans", [[(b"", b"")], [(bytes(8), bytes(7))], [(b"\1" * 8, bytes(8))]], ids=repr
)
def test_a_lying_peer_is_refused(stage: LossyStage, spans: list[tuple[bytes, bytes]]) -> None:
    """It says of what it is short in spans that are none."""
    fill(stage, ["k"])
    asked: list[tuple[int, int]] = []
    post = stage.post

    def listen(sender: int, node: int, message: Message) -> None:
        if isinstance(message, Survey):
            asked.append((node, message.op))
        else:
            post(sender, node, message)

    stage.post = listen  # type: ignore[method-assign]
    wipe(stage, N3)
    stage.wait(15)
    replicator = stage.nodes[N3]
    assert replicator is not None
    node, op = asked[-1]
    with pytest.raises(ProtocolError):
        replicator.on_message(node, Shortfall(op, spans, []))
    assert recovering(stage, N3)


def _ignore(_arg: object, _error: object) -> None:
    """Nobody waits."""

"""What has expired is seen by nobody, goes from every disk, and costs little on the way."""

from __future__ import annotations

import pytest
from kit.stage import Disk, Stage
from test_anti_entropy import CountingStage, place

from kvorum.cluster.clocks import SKEW_MS, Clocks
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import EMPTY, JSON, Event, Record, decode, encode, expire, write
from kvorum.model.request import (
    ABSENT,
    EXACT,
    PRESENT,
    Answer,
    Delete,
    Failure,
    Get,
    Put,
    Request,
    Touch,
)
from kvorum.model.topology import TTL_S_MAX, NamespaceSettings
from kvorum.replica.expiry import soonest_expiry, visible
from kvorum.runtime.inline import InlineRuntime

KEY = place("k")
SWEPT_S = SKEW_MS / 1000 + 2 * 60 + 10
"""From expiry to the end of the sweep that comes after it, at the latest."""
COLLECTED_S = 400


def cluster(nodes: int = 3, ttl: int = 0) -> Stage:
    return Stage(nodes, NamespaceSettings(replicas=3, read=2, write=2, timeout_ms=1000, ttl=ttl))


def ask(stage: Stage, request: Request, node: int = 0) -> Answer | Failure:
    results = stage.ask(node, request)
    stage.settle()
    (result,) = results
    return result


def answer(stage: Stage, request: Request, node: int = 0) -> Answer:
    result = ask(stage, request, node)
    assert isinstance(result, Answer), result
    return result


def failure(stage: Stage, request: Request, node: int = 0) -> str:
    result = ask(stage, request, node)
    assert isinstance(result, Failure), result
    assert result.outcome == "none"
    return result.code


def put(value: bytes = b"1", ttl: int | None = None, expires: int = 0) -> Put:
    return Put("default", "k", JSON, value, ttl=ttl, expires=expires)


def shown(stage: Stage, node: int = 0) -> list[bytes]:
    return [v.value for v in answer(stage, Get("default", "k"), node).record.live_versions()]


def held(stage: Stage, node: int, key: bytes = KEY) -> Record | None:
    data = stage.disks[node].get(key)
    return None if data is None else decode(key, data)


def now_ms(stage: Stage) -> int:
    return stage.clock.wall_ms()


def test_it_is_seen_until_it_expires_and_by_nobody_from_then_on() -> None:
    stage = cluster(4)
    written = answer(stage, put(ttl=5))
    assert [v.expires for v in written.record.versions] == [now_ms(stage) + 5000]
    stage.wait(4.999)
    assert [shown(stage, node) for node in range(4)] == [[b"1"]] * 4
    stage.wait(0.001)
    assert [shown(stage, node) for node in range(4)] == [[]] * 4
    (listing,) = stage.scan(0, b"", 10)
    assert listing.entries == []
    assert held(stage, 0) or held(stage, 1), "hidden, not yet expired"


def test_conditions_see_no_more_than_reads() -> None:
    stage = cluster()
    first = answer(stage, put(ttl=5)).record
    stage.wait(5)
    assert failure(stage, Delete("default", "k")) == "not_found"
    assert failure(stage, Touch("default", "k", 9)) == "not_found"
    assert failure(stage, Put("default", "k", JSON, b"2", expect=PRESENT)) == "precondition_failed"
    again = answer(stage, Put("default", "k", JSON, b"2", expect=ABSENT))
    assert again.created
    assert [v.value for v in again.record.versions] == [b"2"]
    stale = Put("default", "k", JSON, b"3", first.context, EXACT)
    assert failure(stage, stale) == "precondition_failed"


def test_whether_a_replica_has_removed_it_does_not_show_in_an_exact_condition() -> None:
    for wait_s, left in ((5, 1), (90, 0)):
        stage = cluster()
        seen = answer(stage, put(ttl=5)).record.context
        stage.wait(wait_s)
        record = held(stage, 0)
        assert record is not None
        assert len(record.versions) == left
        assert answer(stage, Put("default", "k", JSON, b"2", seen, EXACT)).created


def test_a_repeated_write_renews_what_it_says_of_the_lifetime() -> None:
    stage = cluster()
    first = answer(stage, put(ttl=5)).record
    stage.wait(3)
    second = answer(stage, put(ttl=5)).record
    assert second.versions[0].expires == first.versions[0].expires + 3000
    stage.wait(3)
    assert shown(stage) == [b"1"]
    forever = answer(stage, put()).record
    assert forever.versions[0].expires == 0
    assert answer(stage, put()).record == forever, "now it is the same write once more"
    stage.wait(1000)
    assert shown(stage) == [b"1"]


def test_the_namespaces_default_holds_where_a_write_says_nothing() -> None:
    stage = cluster(ttl=7)
    assert answer(stage, put()).record.versions[0].expires == now_ms(stage) + 7000
    stage.wait(2)
    assert answer(stage, put()).record.versions[0].expires == now_ms(stage) + 7000
    assert answer(stage, put(ttl=3)).record.versions[0].expires == now_ms(stage) + 3000
    assert answer(stage, put(ttl=0)).record.versions[0].expires == 0
    assert answer(stage, Touch("default", "k")).record.versions[0].expires == now_ms(stage) + 7000


def test_the_moment_itself_may_be_given() -> None:
    stage = cluster()
    moment = now_ms(stage) + 1234
    assert answer(stage, put(expires=moment)).record.versions[0].expires == moment
    stage.wait(1.234)
    assert shown(stage) == []


@pytest.mark.parametrize(
    "wrong",
    [
        put(b"2", ttl=-1),
        put(b"2", ttl=TTL_S_MAX + 1),
        put(b"2", expires=1),
        put(b"2", expires=(1 << 53) - 1),
        Touch("default", "k", -1),
    ],
)
def test_lifetimes_out_of_range_are_refused_and_change_nothing(wrong: Request) -> None:
    stage = cluster()
    answer(stage, put(ttl=5))
    before = [dict(disk.durable) for disk in stage.disks]
    assert failure(stage, wrong) == "bad_request"
    assert [dict(disk.durable) for disk in stage.disks] == before


def test_the_longest_lifetime_is_accepted() -> None:
    stage = cluster()
    expires = answer(stage, put(ttl=TTL_S_MAX)).record.versions[0].expires
    assert expires == now_ms(stage) + TTL_S_MAX * 1000


# Touch


def test_a_touch_keeps_the_value_and_gives_it_another_lifetime() -> None:
    stage = cluster()
    first = answer(stage, put(ttl=5)).record
    stage.wait(3)
    touched = answer(stage, Touch("default", "k", 10)).record
    assert [v.value for v in touched.versions] == [b"1"]
    assert touched.versions[0].expires == now_ms(stage) + 10_000
    assert touched.versions[0].dot != first.versions[0].dot
    stage.wait(9.999)
    assert [shown(stage, node) for node in range(3)] == [[b"1"]] * 3
    assert answer(stage, Touch("default", "k", 0)).record.versions[0].expires == 0
    stage.wait(1000)
    assert shown(stage) == [b"1"]


def test_a_touch_of_siblings_leaves_them_siblings_and_in_order() -> None:
    stage = cluster()
    seen = answer(stage, put(b"0")).record.context
    for value in (b"1", b"2", b"3"):
        stage.wait(1)
        answer(stage, Put("default", "k", JSON, value, seen))
    before = shown(stage)
    assert before == [b"3", b"2", b"1"]
    touched = answer(stage, Touch("default", "k", 10)).record
    assert [v.value for v in touched.live_versions()] == before
    assert shown(stage) == before
    stage.wait(10)
    assert shown(stage) == []


def test_a_touch_with_a_version_leaves_the_others_alone() -> None:
    stage = cluster()
    seen = answer(stage, put(b"0")).record.context
    known = answer(stage, Put("default", "k", JSON, b"1", seen)).record.context
    answer(stage, Put("default", "k", JSON, b"2", seen))
    answer(stage, Touch("default", "k", 5, seen=known))
    stage.wait(5)
    assert shown(stage) == [b"2"]
    assert failure(stage, Touch("default", "k", 5, seen=seen)) == "not_found"


def test_a_touch_is_conditional_where_asked_to_be() -> None:
    stage = cluster()
    old = answer(stage, put(b"0")).record.context
    new = answer(stage, put(b"1")).record.context
    exact = Touch("default", "k", 5, seen=old, expect=EXACT)
    assert failure(stage, exact) == "precondition_failed"
    answer(stage, Touch("default", "k", 5, seen=new, expect=EXACT))


# Siblings


def test_of_siblings_those_that_live_are_shown() -> None:
    stage = cluster()
    seen = answer(stage, put(b"0")).record.context
    answer(stage, Put("default", "k", JSON, b"short", seen, ttl=5))
    answer(stage, Put("default", "k", JSON, b"long", seen, ttl=500))
    assert sorted(shown(stage)) == [b"long", b"short"]
    stage.wait(5)
    assert shown(stage) == [b"long"]
    stage.wait(SWEPT_S)
    assert [[v.value for v in record.versions] for n in range(3) if (record := held(stage, n))] == [
        [b"long"]
    ] * 3


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_sibling_that_expires_is_swept_whatever_place_it_has_in_the_record(first: int) -> None:
    stage = cluster()
    seen = answer(stage, put(b"0")).record.context
    for node in range(3):
        ttl = 5 if node == first else None
        answer(stage, Put("default", "k", JSON, b"v%d" % node, seen, ttl=ttl), node)
    stage.wait(5 + SWEPT_S)
    for node in range(3):
        record = held(stage, node)
        assert record is not None
        assert len(record.versions) == 2


# Burial


def test_every_replica_removes_it_and_then_it_is_collected() -> None:
    stage = cluster(4)
    answer(stage, put(ttl=5))
    stage.wait(5 + SWEPT_S)
    records = {disk.get(KEY) for disk in stage.disks} - {None}
    assert len(records) <= 1, "expired records are equal"
    stage.wait(COLLECTED_S)
    assert [disk.get(KEY) for disk in stage.disks] == [None] * 4


def test_after_a_restart_the_first_walk_finds_what_expires() -> None:
    stage = cluster()
    answer(stage, put(ttl=100))
    for node in range(3):
        stage.kill(node)
    for node in range(3):
        stage.restart(node)
    stage.wait(50)
    assert shown(stage) == [b"1"]
    stage.wait(50 + SWEPT_S + COLLECTED_S)
    assert [disk.get(KEY) for disk in stage.disks] == [None] * 3


class CountingDisk(Disk):
    scans = 0

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        self.scans += 1
        return super().scan(start, end, limit)


def test_a_node_sweeps_only_when_something_may_have_expired() -> None:
    stage = Stage(1, NamespaceSettings(replicas=1, read=1, write=1))
    disk = stage.disks[0] = CountingDisk(stage.clock)
    stage.kill(0)
    stage.restart(0)
    stage.wait(1)
    scans = disk.scans
    answer(stage, put(b"\xcf\xff\xff\xff\xff\xff\xff\xff"))  # looks from afar as if it did
    stage.wait(1000)
    answer(stage, put(ttl=1000))
    stage.wait(900)
    assert disk.scans == scans
    stage.wait(1000)
    assert 0 < disk.scans - scans <= 2, "one sweep, no more"


def expired_here_and_removed_there(stage: CountingStage) -> list[bytes]:
    """Keys that expire; after that one node has swept and the others have not."""
    keys = []
    for i in range(50):
        name = f"k{i}"
        stage.ask(0, Put("default", name, JSON, b"1", ttl=5))
        keys.append(place(name))
    stage.settle()
    stage.wait(5 + SKEW_MS / 1000 + 1)
    for key in keys:
        first = stage.placement.owners(stage.placement.partition(key[1:9]), PlacementRule(3))[0]
        data = stage.content(first)[key]
        stage.plant(first, key, encode(key, expire(decode(key, data), now_ms(stage))))
    return keys


def test_replicas_do_not_exchange_records_because_one_has_swept_before_the_other() -> None:
    stage = CountingStage(3, 3)
    keys = expired_here_and_removed_there(stage)
    stage.reset()
    assert len({tuple(sorted(stage.content(node).items())) for node in range(3)}) > 1
    replicator = stage.nodes[0]
    assert replicator is not None
    number = replicator.repairs.begin(None, None, None, full=False)["id"]
    while not replicator.repairs.progress(number)["ended"]:
        stage.wait(0.1)
    assert stage.sent["Inventory"] > 0
    assert not {"Read", "Have", "Write"} & stage.sent.keys(), stage.sent
    assert len({tuple(sorted(stage.content(node).items())) for node in range(3)}) == 1
    assert all(decode(key, stage.content(0)[key]).versions == () for key in keys)


def test_a_read_repairs_it_once() -> None:
    stage = CountingStage(3, 3)
    expired_here_and_removed_there(stage)
    for i in range(50):
        stage.ask(0, Get("default", f"k{i}", 3))
    stage.settle()
    stage.reset()
    for i in range(50):
        for node in range(3):
            stage.ask(node, Get("default", f"k{i}", 3))
    stage.settle()
    assert set(stage.sent) == {"Read", "Same"}


def test_a_full_disk_keeps_what_it_could_only_shorten() -> None:
    stage = cluster()
    seen = answer(stage, put(b"0")).record.context
    answer(stage, Put("default", "k", JSON, b"1", seen))
    answer(stage, Put("default", "k", JSON, b"2", seen, ttl=5))
    for disk in stage.disks:
        disk.full = True
    stage.wait(5 + SWEPT_S)
    assert shown(stage) == [b"1"]
    for disk in stage.disks:
        disk.full = False
    stage.wait(SWEPT_S)
    assert all((record := held(stage, n)) and len(record.versions) == 1 for n in range(3))


# Clocks


def test_a_clock_that_is_ahead_hides_from_its_own_readers_and_destroys_nothing() -> None:
    stage = cluster()
    stage.clocks[1].ahead_ms = SKEW_MS - 1000
    answer(stage, put(ttl=200))
    stage.wait(200 - SKEW_MS / 1000 + 1)
    assert [shown(stage, node) for node in range(3)] == [[b"1"], [], [b"1"]]
    stage.wait(SKEW_MS / 1000 - 1.001)
    assert [shown(stage, node) for node in range(3)] == [[b"1"], [], [b"1"]]
    stage.wait(1)
    assert [shown(stage, node) for node in range(3)] == [[], [], []]
    stage.wait(COLLECTED_S)
    assert [disk.get(KEY) for disk in stage.disks] == [None] * 3


def test_a_clock_that_is_far_behind_brings_nothing_back() -> None:
    stage = cluster()
    late = 2
    stage.clocks[late].ahead_ms = -400_000
    answer(stage, put(ttl=5), 0)
    stage.wait(5 + 80)
    for _ in range(COLLECTED_S):
        assert shown(stage, late) == []
        stage.wait(1)
    assert [disk.get(KEY) for disk in stage.disks] == [None] * 3


def test_what_others_have_removed_does_not_come_back_with_a_hint() -> None:
    stage = cluster()
    first, _, last = stage.placement.owners(stage.placement.partition(KEY[1:9]), PlacementRule(3))
    answer(stage, put(ttl=5), first)
    stage.kill(last)
    answer(stage, put(b"2", ttl=5), first)
    stage.wait(5 + SWEPT_S)
    stage.restart(last)
    stage.wait(1)
    assert [shown(stage, node) for node in range(3)] == [[], [], []]
    stage.wait(COLLECTED_S)
    assert [disk.get(KEY) for disk in stage.disks] == [None] * 3


# Values


def test_the_soonest_expiry_of_a_record() -> None:
    record = EMPTY
    for counter, expires in ((1, 0), (2, 1_900_000_000_000), (3, 1_800_000_000_000), (4, 0)):
        record = write(record, (), Event(counter, 1, 5), JSON, b"\xcf" * 20, expires)
    assert soonest_expiry(encode(KEY, record)) == 1_800_000_000_000
    assert soonest_expiry(encode(KEY, write(EMPTY, (), Event(1, 1, 5), JSON, b"1"))) == 0
    assert soonest_expiry(encode(KEY, EMPTY)) == 0
    for damage in (b"", b"12345678", b"12345678\x92\x90", encode(KEY, record)[:-5]):
        assert soonest_expiry(damage) == 0


def test_the_time_is_not_asked_for_where_nothing_expires() -> None:
    class Timeless(Clocks):
        def now_ms(self) -> int:
            raise AssertionError("nothing expires")

    record = write(EMPTY, (), Event(1, 1, 5), JSON, b"1")
    assert visible(record, Timeless(1, InlineRuntime(), 0.0)) is record

from __future__ import annotations

from itertools import pairwise, product

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import RequestError
from kvorum.model.leaderless import Leaderless
from kvorum.model.record import Event
from kvorum.model.replica_set import ReplicaSet
from kvorum.model.request import ABSENT, ANY, EXACT, PRESENT, Change, Delete, Put, Touch
from kvorum.model.tally import Tally
from kvorum.model.topology import Durability, NamespaceSettings
from kvorum.model.write_plan import (
    ALONE,
    ASK_OWNERS,
    IMPOSSIBLE,
    MISSING,
    NOTHING,
    SOUND,
    UNREAD,
    UNREADABLE,
    UNVERIFIED,
    ReplicationMode,
    Sight,
    TooFew,
    WritePlan,
)

MODE: ReplicationMode = Leaderless()
NODES = range(7)
SEEN = (Event(5, 1, 0),)


class View(msgspec.Struct):
    """What a test says of a cluster, and who in it is up."""

    replicas: ReplicaSet
    up: frozenset[int]
    settings: NamespaceSettings

    def sight(self, local: int) -> Sight:
        """As node `local` sees it, if nothing is wrong with that itself."""

        def is_up(node: int) -> bool:
            return node == local or node in self.up

        return Sight(local, is_up, frozenset(NODES), len(NODES), self.settings)


@st.composite
def views(draw: st.DrawFn, *, changes: bool = True) -> View:
    nodes = draw(st.permutations(NODES))
    copies = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["strict", "sloppy"]))
    moved = draw(st.integers(0, min(copies, len(nodes) - copies))) if changes else 0
    replicas = ReplicaSet(
        epoch=draw(st.integers(1, 99)),
        natural=tuple(nodes[:copies]),
        pending=tuple(nodes[copies : copies + moved]),
        leaving=tuple(draw(st.permutations(nodes[:copies]))[:moved]),
        fallbacks=tuple(nodes[copies + moved :]) if kind == "sloppy" else (),
    )
    settings = NamespaceSettings(
        replicas=copies,
        read=draw(st.integers(1, copies)),
        write=draw(st.integers(1, copies)),
        quorum=kind,  # type: ignore[arg-type]
        durability=draw(st.sampled_from(["fsync", "none"])),
        ttl=draw(st.sampled_from([0, 0, 60])),
    )
    return View(replicas, draw(st.frozensets(st.sampled_from(NODES))), settings)


@st.composite
def sights(draw: st.DrawFn, view: View) -> Sight:
    """Of any node, in any state."""
    return msgspec.structs.replace(
        view.sight(draw(st.sampled_from(NODES))),
        settled=draw(st.sampled_from([frozenset(NODES), draw(st.frozensets(st.integers(0, 6)))])),
        has_room=draw(st.booleans()),
        has_time=draw(st.booleans()),
        recovering=draw(st.booleans()),
        own=draw(st.sampled_from([UNREAD, SOUND, MISSING, UNREADABLE, UNVERIFIED])),
    )


def changes() -> st.SearchStrategy[Change]:
    seen = st.sampled_from([None, SEEN, ()])
    expect = st.sampled_from([ANY, ANY, ABSENT, PRESENT, EXACT])
    w = st.sampled_from([0, 0, 1, 2, 5])
    ttl = st.sampled_from([None, 0, 5])
    quorum = st.just("")
    put = st.builds(
        Put, st.just("default"), st.just("k"), st.just(0), st.just(b"1"), seen, expect, w,
        st.just(0), quorum, ttl,
    )  # fmt: skip
    delete = st.builds(Delete, st.just("default"), st.just("k"), seen, expect, w)
    touch = st.builds(Touch, st.just("default"), st.just("k"), ttl, st.just(0), seen, expect, w)
    return st.one_of(put, put, delete, touch)


def blind(w: int = 0) -> Put:
    return Put("default", "k", 0, b"1", w=w)


# Against a dumb planner: every rule a sentence of its own, in no particular order of cost


def dumb_coordinators(request: Change, view: View, sight: Sight) -> list[int]:
    """All nodes that are up, the best first."""
    owners, local = view.replicas.natural, sight.local
    lifetime = not isinstance(request, Delete) and (
        view.settings.ttl > 0 if request.ttl is None else request.ttl > 0
    )
    needs_disk = not isinstance(request, Delete)
    unable = (needs_disk and not sight.has_room) or (lifetime and not sight.has_time)

    def rank(node: int) -> tuple[bool, bool, int]:
        is_owner = node in owners
        is_unable = node == local and is_owner and unable
        is_handy = node == local and is_owner and request.seen is not None
        order = view.replicas.preference.index(node)
        # An owner first, but rather an unable one than a fallback.
        return not is_owner, is_unable, -1 if is_handy else order

    return sorted(filter(sight.is_up, view.replicas.preference), key=rank)


def dumb_read_first(request: Change, view: View, sight: Sight) -> int:
    replicas, settings = view.replicas, view.settings
    is_write_only = isinstance(request, Put) and request.expect == ANY
    holds = {UNREAD: True, SOUND: True, MISSING: settings.durability != "none"}
    has_seen_all = (
        replicas.natural[0] == sight.local
        and all(node in sight.settled for node in replicas.preference)
        and not sight.recovering
        and {*replicas.next_owners} == {*replicas.natural}
    )
    if is_write_only and holds.get(sight.own, False) and (request.seen is not None or has_seen_all):
        return 0
    majority = settings.replicas // 2 + 1
    up = len([node for node in replicas.preference if sight.is_up(node)])
    wanted = [min(majority, up)] if is_write_only else [majority, settings.read]
    if sight.own == UNVERIFIED:
        others = len(replicas.natural) - 1
        wanted.append(min(settings.replicas - settings.write + 1, others))
    return max(wanted)


def dumb_plan_here(request: Change, view: View, sight: Sight) -> WritePlan | TooFew | None:
    replicas = view.replicas
    needed = request.w or view.settings.write
    if needed > view.settings.replicas:
        return None
    for owners in (replicas.natural, replicas.next_owners):
        up = tuple(node for node in owners + replicas.fallbacks if sight.is_up(node))
        if len(up) < needed:
            return TooFew("store it", needed, up)
    return WritePlan(
        sight.local,
        replicas.natural + replicas.pending,
        replicas.write_quorums(needed),
        dumb_read_first(request, view, sight),
    )


def planned(request: Change, view: View, sight: Sight) -> WritePlan | TooFew | None:
    try:
        return MODE.plan(request, view.replicas, sight)
    except RequestError:
        return None


@given(views(), changes(), st.data())
def test_it_agrees_with_a_dumb_planner(view: View, request: Change, data: st.DataObject) -> None:
    sight = data.draw(sights(view))
    best = dumb_coordinators(request, view, sight)
    wanted: WritePlan | TooFew | None
    if not best:
        wanted = TooFew("coordinate the write", 1, ())
    elif best[0] == sight.local:
        wanted = dumb_plan_here(request, view, sight)
    else:
        wanted = WritePlan(best[0], (), (), NOTHING)
    assert planned(request, view, sight) == wanted


@given(views(), st.data())
def test_nodes_that_see_the_same_up_agree_on_who_coordinates_blind_writes(
    view: View, data: st.DataObject
) -> None:
    one, other = (data.draw(st.sampled_from(sorted(view.up or {0}))) for _ in range(2))
    plans = [planned(blind(), view, view.sight(node)) for node in (one, other)]
    if not view.up:
        return
    coordinators = {plan.coordinator if isinstance(plan, WritePlan) else None for plan in plans}
    assert len(coordinators - {None}) <= 1
    if None in coordinators and len(coordinators) == 2:
        # It is the coordinator itself that found too few up.
        (coordinator,) = coordinators - {None}
        assert coordinator in (one, other)


@given(views(), changes(), st.data())
def test_a_forwarded_request_is_kept_by_an_owner_and_goes_on_to_one(
    view: View, request: Change, data: st.DataObject
) -> None:
    sight = data.draw(sights(view))
    owners = [node for node in view.replicas.natural if sight.is_up(node)]
    try:
        plan = MODE.plan_forwarded(request, view.replicas, sight)
    except RequestError as error:
        if error.message.startswith("w is"):
            assert request.w > view.settings.replicas
        else:
            assert not owners
            assert sight.local not in view.replicas.preference
        return
    if sight.local in view.replicas.natural or not owners:
        assert plan == dumb_plan_here(request, view, sight)
    else:
        assert plan == WritePlan(owners[0], (), (), NOTHING)


@given(views(), changes(), st.data())
def test_nobody_forwards_to_a_fallback_while_an_owner_is_up(
    view: View, request: Change, data: st.DataObject
) -> None:
    sight = data.draw(sights(view))
    plan = planned(request, view, sight)
    if isinstance(plan, WritePlan) and plan.coordinator not in view.replicas.natural:
        assert not any(map(sight.is_up, view.replicas.natural))
        assert plan.coordinator in view.replicas.fallbacks


@given(views(), st.data())
def test_another_coordinator_is_an_owner_that_was_not_tried(
    view: View, data: st.DataObject
) -> None:
    sight = data.draw(sights(view))
    tried = tuple(data.draw(st.lists(st.sampled_from(NODES), unique=True)))
    left = [node for node in view.replicas.natural if sight.is_up(node) and node not in tried]
    assert MODE.another(view.replicas, sight, tried) == (left[0] if left else None)


# Knowing what is there


@given(views(), st.data())
def test_what_is_not_sound_is_not_relied_on(view: View, data: st.DataObject) -> None:
    """Whatever else there is: who does not know what it holds reads at least one other."""
    sight = data.draw(sights(view))
    request = data.draw(changes())
    if sight.own in (UNREADABLE, UNVERIFIED):
        plan = dumb_or_plan_here(request, view, sight)
        assert not isinstance(plan, WritePlan) or plan.read_first > 0


def dumb_or_plan_here(request: Change, view: View, sight: Sight) -> WritePlan | TooFew | None:
    try:
        return MODE.plan_here(request, view.replicas, sight)
    except RequestError:
        return None


@given(views(changes=False), st.data())
def test_who_may_have_lost_a_record_reads_somebody_else_who_stored_it(
    view: View, data: st.DataObject
) -> None:
    """Whichever W owners stored an acknowledged write: of so many others one has it, if any has."""
    owners, settings = view.replicas.natural, view.settings
    sight = msgspec.structs.replace(view.sight(owners[0]), own=UNVERIFIED)
    view.up = frozenset(NODES)
    plan = MODE.plan_here(blind(), view.replicas, sight)
    assert isinstance(plan, WritePlan)
    others = data.draw(st.permutations(owners[1:]))
    stored = {owners[0], *others[: settings.write - 1]}
    asked = data.draw(st.permutations(owners[1:]))[: plan.read_first]
    assert settings.write == 1 or {*asked} & stored


# Confirmation


@given(views(), st.data())
def test_only_a_first_owner_that_missed_nothing_asks_whether_its_value_is_in_force(
    view: View, data: st.DataObject
) -> None:
    sight = data.draw(sights(view))
    request = blind()
    if data.draw(st.booleans()):
        request = msgspec.structs.replace(request, quorum="sloppy")
    found = MODE.confirmation(request, view.replicas, sight)
    is_steady = {*view.replicas.next_owners} == {*view.replicas.natural}
    is_strict = view.settings.quorum == "strict" and request.quorum == ""
    if is_steady and {*view.replicas.preference} == {sight.local}:
        assert found == ALONE
    elif is_steady and is_strict and view.replicas.natural[0] == sight.local:
        assert found == (ASK_OWNERS if sight.settled == {*NODES} else IMPOSSIBLE)
    else:
        assert found == IMPOSSIBLE


# Quorums of one epoch and the next


@pytest.mark.parametrize(("copies", "moved"), [(1, 1), (2, 1), (3, 1), (3, 3), (4, 2)])
def test_writes_of_one_epoch_and_of_the_next_have_an_owner_in_common(
    copies: int, moved: int
) -> None:
    """All sets of nodes that satisfy the plan of an epoch, against all of the next one."""
    old, new = tuple(range(copies)), tuple(range(moved, copies + moved))
    settings = NamespaceSettings.majority(copies)
    before = ReplicaSet(epoch=1, natural=old)
    during = ReplicaSet(epoch=2, natural=old, pending=new[copies - moved :], leaving=old[:moved])
    after = ReplicaSet(epoch=3, natural=new)
    winning = [_winning(replicas, settings) for replicas in (before, during, after)]
    assert all(winning)
    for one, next_one in pairwise(winning):
        for stored, stored_next in product(one, next_one):
            assert stored & stored_next


def _winning(replicas: ReplicaSet, settings: NamespaceSettings) -> list[set[int]]:
    local = replicas.natural[0]
    sight = Sight(local, lambda _node: True, frozenset(NODES), len(NODES), settings)
    plan = MODE.plan(blind(), replicas, sight)
    assert isinstance(plan, WritePlan)
    found = []
    for acks in product((False, True), repeat=len(plan.targets)):
        tally = Tally(plan.quorums, plan.targets)
        stored = [node for node, ack in zip(plan.targets, acks, strict=True) if ack]
        for node in stored:
            tally.ack(node)
        if tally.won:
            found.append({*stored})
    return found


# Single rules


def three(**fields: object) -> ReplicaSet:
    return msgspec.convert({"epoch": 4, "natural": (0, 1, 2), **fields}, ReplicaSet)


def view_of(replicas: ReplicaSet, up: set[int]) -> View:
    return View(replicas, frozenset(up), NamespaceSettings.majority(3))


def test_a_blind_write_at_its_settled_first_owner_reads_nothing_first() -> None:
    view = view_of(three(), {0, 1, 2})
    plan = planned(blind(), view, view.sight(0))
    assert plan == WritePlan(0, (0, 1, 2), view.replicas.write_quorums(2), NOTHING)


@pytest.mark.parametrize(
    "fields", [{"settled": frozenset({0, 1})}, {"recovering": True}, {"own": UNVERIFIED}]
)
def test_else_it_reads_a_quorum(fields: dict[str, object]) -> None:
    view = view_of(three(), {0, 1, 2})
    sight = msgspec.structs.replace(view.sight(0), **fields)
    plan = planned(blind(), view, sight)
    assert isinstance(plan, WritePlan)
    assert plan.read_first == 2


def test_while_the_owners_change_it_reads_a_quorum_too() -> None:
    view = view_of(three(pending=(3,), leaving=(2,)), {0, 1, 2, 3})
    plan = planned(blind(), view, view.sight(0))
    assert isinstance(plan, WritePlan)
    assert (plan.targets, plan.read_first) == ((0, 1, 2, 3), 2)


def test_a_change_that_the_next_owners_could_not_store_is_refused_at_once() -> None:
    view = view_of(three(pending=(3, 4), leaving=(1, 2)), {0, 1, 2})
    assert planned(blind(), view, view.sight(0)) == TooFew("store it", 2, (0,))


def test_a_pending_owner_leaves_it_to_a_natural_one() -> None:
    view = view_of(three(pending=(3,), leaving=(2,)), {0, 1, 2, 3})
    plan = MODE.plan_forwarded(blind(), view.replicas, view.sight(3))
    assert isinstance(plan, WritePlan)
    assert plan.coordinator == 0


def test_a_w_that_no_number_of_nodes_can_meet_is_an_error_of_the_request() -> None:
    view = view_of(three(), {0, 1, 2})
    with pytest.raises(RequestError, match=r"w is 4, and namespace .* has 3"):
        MODE.plan(blind(w=4), view.replicas, view.sight(0))


def test_a_node_with_no_part_in_the_key_refuses_what_it_was_sent() -> None:
    view = view_of(three(), set())
    with pytest.raises(RequestError, match="forwarded to a node that does not own its key"):
        MODE.plan_forwarded(blind(), view.replicas, view.sight(5))


@pytest.mark.parametrize(
    ("write", "to_read"), [(1, 4), (2, 4), (3, 3), (5, 3)], ids=lambda number: str(number)
)
def test_who_may_have_lost_a_record_asks_all_others_at_most(write: int, to_read: int) -> None:
    settings = NamespaceSettings(replicas=5, read=1, write=write)
    view = View(ReplicaSet(epoch=4, natural=(0, 1, 2, 3, 4)), frozenset(range(5)), settings)
    plan = planned(blind(), view, msgspec.structs.replace(view.sight(0), own=UNVERIFIED))
    assert isinstance(plan, WritePlan)
    assert plan.read_first == to_read


@pytest.mark.parametrize(("durability", "to_read"), [("fsync", NOTHING), ("none", 2)])
def test_having_nothing_says_nothing_where_it_may_have_been_evicted(
    durability: Durability, to_read: int
) -> None:
    view = view_of(three(), {0, 1, 2})
    view.settings = msgspec.structs.replace(view.settings, durability=durability)
    plan = planned(blind(), view, msgspec.structs.replace(view.sight(0), own=MISSING))
    assert isinstance(plan, WritePlan)
    assert plan.read_first == to_read


@pytest.mark.parametrize(
    ("request_", "coordinator"),
    [
        (Put("default", "k", 0, b"1", seen=SEEN), 1),
        (Put("default", "k", 0, b"1", seen=SEEN, ttl=5), 0),
        (Put("default", "k", 0, b"1", seen=SEEN, expires=5), 0),
        (Touch("default", "k", ttl=5, seen=SEEN), 0),
        (Delete("default", "k", seen=SEEN), 1),
    ],
)
def test_who_has_no_time_leaves_it_to_another_owner_to_give_a_lifetime(
    request_: Change, coordinator: int
) -> None:
    view = view_of(three(), {0, 1, 2})
    sight = msgspec.structs.replace(view.sight(1), has_time=False)
    plan = planned(request_, view, sight)
    assert isinstance(plan, WritePlan)
    assert plan.coordinator == coordinator


@pytest.mark.parametrize(
    ("settled", "found"), [(frozenset(NODES), ASK_OWNERS), (frozenset({0, 1, 2}), IMPOSSIBLE)]
)
def test_a_value_is_confirmed_only_if_no_node_holds_a_hint(
    settled: frozenset[int], found: int
) -> None:
    view = view_of(three(), {0, 1, 2})
    sight = msgspec.structs.replace(view.sight(0), settled=settled)
    assert MODE.confirmation(blind(), view.replicas, sight) == found

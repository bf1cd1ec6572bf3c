"""Whole runs: that they pass, that they repeat, and that a planted fault does not get by."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kvorum.journal.segment import SegmentLimits
from kvorum.model.errors import StorageError
from kvorum.model.record import Record, merge
from kvorum.model.replica_set import Quorum
from kvorum.model.tally import Tally
from kvorum.model.topology import NamespaceSettings
from kvorum.repair import anti_entropy, sweep, verifier
from kvorum.replica import local_replica
from kvorum.replication import change, coordination, read, write
from kvorum.replication.change import SiblingBounds
from kvorum.runtime.ports import Runtime
from kvorum.sim import workload
from kvorum.sim.disk_log import DiskLog
from kvorum.sim.draw import draw
from kvorum.sim.network import Conditions
from kvorum.sim.parameters import DISK_FAULT_KINDS, FAULT_KINDS, Mix, Parameters
from kvorum.sim.run import Report, simulate
from kvorum.sim.swarm import draw_swarm
from kvorum.storage.identity import Identity
from kvorum.storage.store import Done

BASIC = Parameters(
    seed=1,
    nodes=5,
    replicas=3,
    read=2,
    write=2,
    operations=100,
    mix=Mix(delete=0.5, conditional=0.1, stale=0.1, choosy=0.1),
    sync_s_mean=(0.002,) * 5,
)


@pytest.mark.parametrize("first", range(0, 20, 5))
def test_seeds_pass(first: int) -> None:
    for seed in range(first, first + 5):
        report = simulate(draw(seed))
        assert report.violations == [], f"seed {seed}"


def plain(drawn: Parameters) -> Parameters:
    """The run of a seed that was found while every value was written once, in one namespace."""
    return replace(drawn, mix=replace(drawn.mix, values=0), others={})


def test_a_record_that_the_row_cache_knows_is_counted_where_it_replaces_a_damaged_one() -> None:
    """The walk that counted its partition anew had not met it."""
    assert simulate(draw(309)).violations == []


@pytest.mark.parametrize("seed", [418, 430])
def test_a_comparison_whose_question_was_lost_is_begun_again_before_all_is_judged(
    seed: int,
) -> None:
    assert simulate(draw(seed)).violations == []


def test_a_node_that_stands_in_keeps_what_it_coordinates() -> None:
    """Its next dot covers the one before: without a copy that version would be dropped."""
    assert simulate(plain(draw_swarm(706, 5))).violations == []


def test_a_node_that_crashes_while_it_recovers_goes_on_recovering() -> None:
    """Its new disk had nothing durable yet, not even a note that it was new."""
    assert simulate(plain(draw_swarm(20067))).violations == []


def test_what_was_said_to_a_lost_node_does_not_vouch_for_its_successor() -> None:
    """It waited in the outbox for a link, and was the first that the newcomer heard."""
    assert simulate(plain(draw_swarm(30964))).violations == []


def test_a_stand_in_that_could_not_read_its_record_vouches_for_nothing() -> None:
    """It noted who was owed the write, could not merge it into what it held, and acked."""
    assert simulate(plain(draw_swarm(600576))).violations == []


def test_a_node_whose_disk_fails_shows_what_it_has_filed_and_not_synced() -> None:
    """What it read below was older than what it had acknowledged."""
    assert simulate(plain(draw_swarm(502))).violations == []


def test_a_replica_that_lost_a_record_does_not_speak_for_its_key_at_once() -> None:
    """What took its place was older, and two of three agreed on it."""
    assert simulate(plain(draw_swarm(207, 5))).violations == []


def test_a_write_that_is_sent_on_from_a_full_node_keeps_its_deadline() -> None:
    assert simulate(plain(draw_swarm(70))).violations == []


@pytest.mark.parametrize(("nodes", "seeds"), [(2, 4), (3, 4), (12, 2)])
def test_clusters_of_any_size_pass(nodes: int, seeds: int) -> None:
    for seed in range(seeds):
        assert simulate(draw(seed, nodes)).violations == [], f"seed {seed}"


def test_without_faults_nothing_fails() -> None:
    assert BASIC.faultless
    report = simulate(BASIC)
    assert report.violations == []
    assert report.unknown == 0
    assert not any(report.faults.values())


def test_what_expires_does_so_in_time_and_is_swept() -> None:
    fleeting = replace(BASIC, mix=replace(BASIC.mix, fleeting=0.5), pause_s_mean=0.2)
    report = simulate(fleeting)
    assert report.violations == []
    assert report.unknown == 0


def test_what_is_touched_lives_on_and_writes_are_refused_that_expect_something_else() -> None:
    mix = replace(BASIC.mix, fleeting=0.5, touching=0.2, conditional=0.5)
    lines: list[str] = []
    careful = replace(BASIC, mix=mix, operations=400, clients=2, pause_s_mean=0.02)
    report = simulate(careful, lines.append)
    assert report.violations == []
    assert report.unknown == 0
    answers = [line for line in lines if " client < " in line]
    for kind in ("touch", "put"):
        for expected in (" if present", " if unchanged"):
            outcomes = {
                o for o in ("acked", "failed") for a in answers if told(a, kind, expected, o)
            }
            assert outcomes == {"acked", "failed"}, (kind, expected)
    assert any(told(a, "put", " if absent", "acked") for a in answers)


def told(line: str, kind: str, expected: str, outcome: str) -> bool:
    return f" {kind} #" in line and expected in line and f": {outcome}" in line


def test_namespaces_with_other_settings_share_a_world_and_its_keys() -> None:
    others = {
        "single": NamespaceSettings(replicas=1, read=1, write=1),
        "stood-in": NamespaceSettings(replicas=3, read=2, write=2, quorum="sloppy"),
        "fleeting": NamespaceSettings(replicas=3, read=1, write=3, ttl=1),
        "sessions": NamespaceSettings(
            replicas=2, read=1, write=2, durability="none", max_memory=1 << 20
        ),
    }
    lines: list[str] = []
    report = simulate(replace(BASIC, others=others, operations=200), lines.append)
    assert report.violations == []
    assert report.unknown == 0
    acked = [line for line in lines if " client < " in line and " put " in line and "acked" in line]
    for name in others:
        assert any(f" of {name}: " in line for line in acked), name


def test_siblings_that_merge_into_more_than_is_made_can_be_read_resolved_and_deleted() -> None:
    """Each side of a cut fills a record; what they merge into holds all of them."""
    mix = Mix(get=1.0, put=0.0, update=5.0, stale=0.9, large=1.0, choosy=0.5)
    crowded = replace(BASIC, mix=mix, clients=30, keys=1, operations=300)
    cut = replace(crowded, fault_rates={"partition": 40.0}, recovery_s_mean=0.1)
    lines: list[str] = []
    report = simulate(replace(cut, siblings=SiblingBounds(100, 4096)), lines.append)
    assert report.violations == []
    largest = max(len(line) for line in lines if " client < " in line and " get #" in line)
    assert largest > 4096 + 512
    assert any(" put #" in line and "failed" in line for line in lines)


def test_a_namespace_in_memory_is_judged_less_once_a_node_was_down() -> None:
    settings = NamespaceSettings(replicas=3, read=2, write=2, durability="none", max_memory=1 << 20)
    shaken = replace(BASIC, others={"sessions": settings}, fault_rates={"outage": 20.0})
    assert simulate(replace(shaken, recovery_s_mean=0.02)).violations == []


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_each_kind_of_fault_strikes_and_heals(kind: str) -> None:
    report = simulate(replace(BASIC, fault_rates={kind: 60.0}, recovery_s_mean=0.02, down_max=2))
    assert report.faults[kind] > 0
    assert {other for other, times in report.faults.items() if times} == {kind}
    assert report.violations == []


@pytest.mark.parametrize("kind", DISK_FAULT_KINDS)
def test_each_fault_of_disks_strikes_and_heals(kind: str) -> None:
    modest = replace(BASIC, mix=replace(BASIC.mix, choosy=0.0), fault_rates={kind: 60.0})
    filed_soon = SegmentLimits(500, 500, 0.01)  # for damage is done to what is flushed
    report = simulate(replace(modest, recovery_s_mean=0.02, segments=filed_soon))
    assert report.faults[kind] > 0
    assert {other for other, times in report.faults.items() if times} == {kind}
    assert report.violations == []


@pytest.mark.parametrize("kind", ["loss", "delay", "reorder", "duplicate"])
def test_each_fault_of_batches_strikes_and_heals(kind: str) -> None:
    chance: dict[str, Any] = {kind: 0.1}
    report = simulate(replace(BASIC, conditions=Conditions(**chance)))
    assert report.faults[kind] > 0
    assert {other for other, times in report.faults.items() if times} == {kind}
    assert report.violations == []


def test_an_ambush_and_a_power_failure_strike_and_heal() -> None:
    report = simulate(replace(BASIC, ambush=0.3, power_failure=True))
    assert report.faults["ambush"] > 0
    assert report.violations == []


def test_crashes_make_nodes_forget_writes() -> None:
    slow = replace(BASIC, fault_rates={"crash": 50.0}, sync_s_mean=(0.02,) * 5)
    assert simulate(slow).writes_forgotten > 0


@pytest.mark.parametrize("seed", [46, 70, 98])
def test_a_blind_put_of_the_value_that_is_here_knows_what_was_acknowledged_elsewhere(
    seed: int,
) -> None:
    """Its coordinator was cut off, and another value had been stored beyond the cut."""
    cut = Parameters(
        seed=seed,
        nodes=3,
        replicas=3,
        read=1,
        write=1,
        operations=60,
        keys=1,
        clients=3,
        pause_s_mean=0.03,
        mix=Mix(get=2.0, put=3.0, update=3.0, values=2, repeating=1.0),
        fault_rates={"partition": 4.0},
        recovery_s_mean=0.5,
    )
    assert simulate(cut).violations == []


# Determinism

PRINT_TRACES = """
from kvorum.sim.draw import draw
from kvorum.sim.run import simulate
print([simulate(draw(seed)).trace for seed in range(4)])
"""


def test_the_same_seed_is_the_same_run_under_any_hash_seed() -> None:
    def traces(hash_seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", PRINT_TRACES],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert traces("1") == traces("2")


def test_watching_changes_nothing_and_other_seeds_are_other_runs() -> None:
    lines: list[str] = []
    watched = simulate(draw(3), lines.append)
    assert watched == simulate(draw(3))
    assert len(lines) > watched.operations
    assert watched.trace != simulate(draw(4)).trace


# Planted faults: what the checkers are for


def lying_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Says "durable" at once."""
    append = DiskLog.append

    def ignore(_arg: object, _error: StorageError | None) -> None:
        pass

    def lie(self: DiskLog, entry: bytes, done: Done, arg: Any) -> int:
        number = append(self, entry, ignore, None)
        self._runtime.call_soon(done, arg, None)
        return number

    monkeypatch.setattr(DiskLog, "append", lie)


def reused_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes on after a crash as if nothing had been."""

    def same(self: Identity) -> Identity:
        return self

    monkeypatch.setattr(Identity, "next_life", same)


def dropped_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    def drop(a: Record, b: Record) -> Record:
        merged = merge(a, b)
        return Record(merged.context, merged.versions[-1:])

    for module in (coordination, read, local_replica):
        monkeypatch.setattr(module, "merge", drop)


def no_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica takes what comes."""

    def take(a: Record, _b: Record) -> Record:
        return a

    monkeypatch.setattr(local_replica, "merge", take)


def one_ack_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    def tally(quorums: tuple[Quorum, ...], owners: tuple[int, ...]) -> Tally:
        fewer = tuple(Quorum(max(1, quorum.needed - 1), quorum.members) for quorum in quorums)
        return Tally(fewer, owners)

    monkeypatch.setattr(write, "Tally", tally)


def no_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    def skip(self: read.ReadOperation, merged: Record) -> None:
        pass

    monkeypatch.setattr(read.ReadOperation, "_repair", skip)
    # Rounds would soon repair what reads leave, and so does the verifier.
    monkeypatch.setattr(anti_entropy.AntiEntropy, "start", lambda self: None)
    monkeypatch.setattr(verifier.Verifier, "_verify", lambda self: None)


def answers_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = write.WriteOperation._answer_with

    def twice(self: write.WriteOperation, result: Any) -> None:
        reply(self, result)
        reply(self, result)

    monkeypatch.setattr(write.WriteOperation, "_answer_with", twice)


def broken_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: write.WriteOperation, node: int, message: Any) -> None:
        raise KeyError(node)

    monkeypatch.setattr(write.WriteOperation, "on_reply", fail)


def shows_what_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    def show(record: Record, _runtime: Runtime) -> Record:
        return record

    monkeypatch.setattr(read, "visible", show)


def expires_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    def soon(ttl: int | None, _expires: int, _default_s: int, now_ms: int) -> int:
        return now_ms + ttl * 500 if ttl else 0

    monkeypatch.setattr(change, "expiry", soon)


def ignores_preconditions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "_check", lambda _request, _base, _live, _reach: None)


def never_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep.Sweep, "start", lambda self: None)


@pytest.mark.parametrize(
    ("plant", "checks"),
    [
        (lying_disk, {"nothing_stale", "nothing_lost"}),
        # "recovered": others find the writes unknown to their node, which then coordinates no more.
        (reused_actor, {"nothing_stale", "nothing_lost", "replicas_equal", "recovered"}),
        (dropped_siblings, {"nothing_stale", "nothing_lost"}),
        (no_merge, {"nothing_stale", "nothing_lost", "nothing_revived"}),
        (one_ack_too_few, {"nothing_stale", "nothing_revived"}),
        (no_repair, {"replicas_equal"}),
        (answers_twice, {"ended_once"}),
        (broken_handler, {"no_exception"}),
        (shows_what_has_expired, {"nothing_outlived"}),
        (expires_too_soon, {"nothing_mistimed"}),
        (ignores_preconditions, {"nothing_unexpected"}),
        (never_sweeps, {"nothing_unexpired"}),
    ],
)
def test_a_planted_fault_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], checks: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    # One of them shows late: what the seeds before find is no news.
    found = first_failure(range(20 if plant is one_ack_too_few else 0, 120))
    assert checks & {violation.split(":")[0] for violation in found.violations}


def test_a_touch_covers_no_sibling_that_its_coordinator_has_not_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its version did, and what nobody had touched was dropped everywhere."""
    monkeypatch.setattr(workload, "TTL_S_MAX", 0)
    drawn = plain(draw_swarm(803))
    mix = replace(drawn.mix, put=0.5, update=2.0, get=4.0, delete=0.0, stale=0.0, choosy=0.0)
    mix = replace(mix, fleeting=0.0, conditional=0.03)
    rates = {kind: rate for kind, rate in drawn.fault_rates.items() if kind != "damage"}
    touching = replace(
        drawn,
        read=1,
        write=1,
        operations=60,
        keys=1,
        mix=replace(mix, touching=0.3),
        fault_rates=rates,
        wipe_after_s=0.0,
    )
    assert simulate(touching).violations == []


def first_failure(seeds: range) -> Report:
    for seed in seeds:
        report = simulate(draw(seed))
        if report.violations:
            return report
    raise AssertionError(f"nothing found in {seeds}")

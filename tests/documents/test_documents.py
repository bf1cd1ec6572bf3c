"""The documents that servers send and clients read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from kvorum.documents.data_keys import DataKey, DataKeys
from kvorum.documents.location import Location, Replica
from kvorum.documents.node import Members
from kvorum.documents.problem import Problem
from kvorum.documents.reading import read
from kvorum.documents.ring import Ring, RingNamespace, RingNode
from kvorum.documents.snapshot import JobError, Snapshot, SnapshotJob, SnapshotList
from kvorum.documents.status import (
    AcceptedClock,
    AntiEntropyStatus,
    CacheStatus,
    ClockStatus,
    Connections,
    HintStatus,
    NodeStatus,
    Status,
    UnreadableTokens,
    Waiting,
)
from kvorum.documents.storage import (
    DamagedPair,
    QuarantineStatus,
    ScrubbedVolume,
    ScrubPass,
    ScrubStatus,
    Soundness,
    Storage,
    Volume,
)
from kvorum.model.errors import NotFound, ProtocolError
from kvorum.model.topology import NamespaceSettings

GUIDE: Final = Path(__file__).parents[2] / "docs" / "http-api.md"
WHOLE: Final = ScrubPass(
    began_ms=1,
    ended_ms=2,
    retiring=[3],
    pairs=4,
    by_key={0: 1, 7: 3},
    volumes={"default": ScrubbedVolume(pairs=4, logical_bytes=50, stored_bytes=40)},
)
RUNNING: Final = ScrubStatus(
    running=True, whole=WHOLE, **msgspec.structs.asdict(WHOLE), fraction=0.5, eta_s=None
)
SCRUB: Final = ScrubStatus(running=False, whole=WHOLE)
QUARANTINE: Final = QuarantineStatus(
    damaged=1,
    partitions={17: 1},
    latest=[DamagedPair(at="72", partition=17, found_ms=5, why="its tag does not fit")],
)
STORAGE: Final = Storage(
    scrub=RUNNING,
    quarantine=QUARANTINE,
    volumes={"default": Volume(logical_bytes=50, stored_bytes=40, counted="all")},
    damaged_files={"000007.sst": "its checksum does not fit"},
)
CLOCK: Final = ClockStatus(now_ms=9, state="right", off_ms=-1)
STATUS: Final = Status(
    cluster="shop",
    epoch=3,
    node="n1",
    version="0.1.0",
    uptime_s=1.5,
    clock=CLOCK,
    nodes=[
        NodeStatus(
            name="n1",
            http="127.0.0.1:1",
            peer="127.0.0.1:2",
            number=0,
            up=True,
            dissenters=["n2"],
            is_self=True,
            hints=HintStatus(pending=1, oldest_s=0.5, per_second=2.0, missed_more=True),
            clock_ahead_ms=0,
        )
    ],
    namespaces={"default": NamespaceSettings.majority(3)},
    caches={"default": CacheStatus(entries=1, bytes=2, hits=3, misses=1, hit_ratio=0.75)},
    storage=STORAGE,
    connections=Connections(open=1, max=2),
    waiting=Waiting(
        to_compare=["n2"],
        tokens=1,
        since_ms=4,
        unreadable=1,
        unreadable_listed=[
            UnreadableTokens(
                first_token="00", last_token="01", partition=0, since_ms=4, nodes=["n2"]
            )
        ],
        advice="Write it again.",
    ),
    anti_entropy=AntiEntropyStatus(partitions=2, compared=1, repaired=0),
    counters={"reads": 1},
    membership={"probes": 1},
)
RING: Final = Ring(
    node="n1",
    cluster="shop",
    epoch=3,
    token_hash="murmur3",
    token_seed=5,
    partitions=256,
    replicas=1,
    namespaces={"default": RingNamespace(replicas=1)},
    nodes=[
        RingNode(
            name="n1",
            http="127.0.0.1:1",
            peer="127.0.0.1:2",
            dc="east",
            rack="r1",
            host="h1",
            number=0,
            tokens=1,
            primary=256,
            replica=0,
            share=1.0,
            fair_share=1.0,
        )
    ],
    balance=1.0,
)
JOB: Final = SnapshotJob("a", "create", True, 1, 1, Snapshot("a", node="n1", files=2))
DOCUMENTS: Final = [
    STATUS,
    STORAGE,
    Soundness(scrub=SCRUB, quarantine=QUARANTINE),
    AcceptedClock(node="n1", clock=CLOCK),
    RING,
    Location(
        key="k",
        namespace="default",
        token="00ff",
        partition=1,
        replicas=[Replica(node="n1", up=True, state="current", clock=[("n1", 1, 2)])],
    ),
    JOB,
    SnapshotList("n1", [Snapshot("a"), Snapshot("b", damage="no manifest")]),
    DataKeys(
        now_ms=1,
        master_key="m1",
        keys=[DataKey(namespace="default", id=7, state="active", created_ms=1)],
        scrub=SCRUB,
    ),
    Problem(
        title="Not Found",
        status=404,
        detail="No such key: 'k'.",
        code="not_found",
        outcome="none",
        advice="Check it.",
    ),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: type(one).__name__)
def test_what_is_read_is_what_was_sent(document: msgspec.Struct) -> None:
    text = msgspec.json.encode(document)
    assert msgspec.json.decode(text, type=type(document)) == document
    assert read(msgspec.json.decode(text), type(document)) == document


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: type(one).__name__)
def test_members_of_later_versions_are_ignored(document: msgspec.Struct) -> None:
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    assert read({**told, "news": [1]}, type(document)) == document


def test_what_is_no_such_document_is_refused() -> None:
    with pytest.raises(ProtocolError, match="nodes"):
        read({"nodes": "many"}, Ring)


def test_a_status_says_where_the_nodes_are() -> None:
    members = read(msgspec.json.decode(msgspec.json.encode(STATUS)), Members)
    assert [(node.name, node.http) for node in members.nodes] == [("n1", "127.0.0.1:1")]


def test_the_guide_names_all_members_of_a_status() -> None:
    named = set(re.findall(r"`([a-z_]+)`", GUIDE.read_text()))
    for kind in (Status, CacheStatus, Connections):
        assert set(kind.__struct_encode_fields__) <= named


def test_only_a_scrub_that_runs_says_how_far_it_is() -> None:
    told = msgspec.json.decode(msgspec.json.encode(SCRUB))
    assert set(told) == {"running", "whole"}
    assert {"fraction", "eta_s", "pairs"} < set(msgspec.json.decode(msgspec.json.encode(RUNNING)))


def test_the_topology_of_a_ring_is_all_that_placement_depends_on() -> None:
    topology = RING.topology
    assert (topology.cluster, topology.epoch, topology.token_seed) == ("shop", 3, 5)
    assert [(node.name, node.dc, node.number) for node in topology.nodes] == [("n1", "east", 0)]
    assert topology.namespaces["default"].replicas == 1


def test_a_job_that_failed_says_why() -> None:
    failed = msgspec.structs.replace(JOB, snapshot=None, error=JobError("not_found", "It is gone."))
    assert isinstance(failed.failure, NotFound)
    assert JOB.failure is None

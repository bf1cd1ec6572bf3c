"""What is acknowledged after a namespace was shredded stays, whatever the clocks say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from kit.store_lives import NOW_MS, Life, life

from kvorum.cluster.view import ClusterView
from kvorum.model.record import JSON, Event, Record, Version
from kvorum.model.request import Answer, Failure, Get, Put
from kvorum.model.topology import Topology
from kvorum.replication.replicator import Incarnation, Replicator
from kvorum.wire.messages import Message

AHEAD_MS: Final = 60_000
HOUR_S: Final = 3600.0


class Alone:
    def send(self, node: int, message: Message) -> None:
        raise AssertionError("there is no other node")

    def is_up(self, node: int) -> bool:
        return False


class Server:
    """A node over the store of one life."""

    def __init__(self, one: Life, incarnation: int = 1) -> None:
        self.one = one
        one.tend()
        topology = Topology.single()
        self._replicator = Replicator(
            ClusterView(topology, 0),
            one.clock,
            Alone(),
            one.parts.store,
            Incarnation(incarnation, 0, shredded_since=one.parts.shredded_since),
        )

    def put(self, key: str, value: bytes = b'"after"') -> Any:
        return self._ask(Put("default", key, JSON, value))

    def values(self, key: str) -> list[bytes]:
        answer = self._ask(Get("default", key))
        assert isinstance(answer, Answer)
        return [version.value for version in answer.record.versions]

    def take_in(self, key: str, record: Record) -> Any:
        answers: list[Any] = []
        self._replicator.ingest("default", key, record, 0, answers.append)
        self.one.wait(lambda: bool(answers))
        return answers[0]

    def _ask(self, request: Any) -> Any:
        answers: list[Any] = []
        self._replicator.submit(request, answers.append)
        self.one.wait(lambda: bool(answers))
        return answers[0]


def written_at(timestamp: int) -> Record:
    dot = Event(77 << 20 | 1, 1, timestamp)
    return Record((dot,), (Version(dot, JSON, b'"of another node"'),))


@pytest.mark.parametrize("clock_s", [0.0, -HOUR_S, -NOW_MS / 1000])
def test_what_is_acknowledged_after_a_shredding_ahead_of_the_clock_stays(
    tmp_path: Path, clock_s: float
) -> None:
    with life(tmp_path / "n1") as one:
        server = Server(one)
        server.put("a", b'"before"')
        one.key_admin.shred("default", one.clock.wall_ms() + AHEAD_MS)
        assert server.values("a") == []
        ahead_s = one.clock.passed_s - clock_s
        one.clock.wall_ms = lambda: NOW_MS + int((one.clock.passed_s - ahead_s) * 1000)  # type: ignore[method-assign]
        assert isinstance(server.put("a"), Answer)
        assert isinstance(server.put("b"), Answer)
        assert server.values("a") == [b'"after"']
        crashed = one.crash(tmp_path / "crashed")
        one.scrubbed()
        assert server.values("a") == server.values("b") == [b'"after"']
    for path in (crashed, one.path):
        with life(path) as again:
            server = Server(again, 2)
            assert server.values("a") == server.values("b") == [b'"after"']
            assert isinstance(server.put("c"), Answer)
            again.flushed()
            again.scrubbed()
            assert server.values("a") == server.values("b") == server.values("c") == [b'"after"']


def test_a_restart_does_not_make_the_moment_forgotten(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        server = Server(one)
        one.key_admin.shred("default", one.clock.wall_ms() + AHEAD_MS)
    with life(tmp_path) as again:
        server = Server(again, 2)
        assert isinstance(server.put("a"), Answer)
        assert server.values("a") == [b'"after"']
    with life(tmp_path) as third:
        assert Server(third, 3).values("a") == [b'"after"']


def test_a_record_from_before_is_refused_and_one_from_after_is_taken_in(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        server = Server(one)
        moment_ms = one.clock.wall_ms() + AHEAD_MS
        one.key_admin.shred("default", moment_ms)
        refused = server.take_in("a", written_at(moment_ms))
        assert isinstance(refused, Failure)
        assert refused.outcome == "none"
        assert "shredded" in refused.message
        assert server.values("a") == []
        assert isinstance(server.take_in("a", written_at(moment_ms + 1)), Answer)
        assert server.values("a") == [b'"of another node"']

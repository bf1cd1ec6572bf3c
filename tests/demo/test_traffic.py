"""Traffic and ledger: what is repeated, what is counted, and what is found to be lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kvorum.client.answers import Result
from kvorum.client.entry import Entry
from kvorum.demo.ledger import Ledger
from kvorum.demo.report import Report
from kvorum.demo.requests import Item, ManyEntries
from kvorum.demo.traffic import Traffic
from kvorum.model.errors import (
    ConnectionFailed,
    InvalidValue,
    KvorumError,
    NotFound,
    Overloaded,
    QuorumError,
    StorageError,
)
from kvorum.runtime.loop import run

ITEMS = [(f"key {i}", str(i).encode()) for i in range(25)]


class Cluster(ManyEntries):
    """Keeps entries in a dict; `troubles` befall the first requests, one item of each."""

    entries = 4
    in_flight = 3

    def __init__(self, troubles: Sequence[KvorumError] = ()) -> None:
        self.stored: dict[str, bytes] = {}
        self.asked: list[list[str]] = []
        self._troubles = list(troubles)

    async def write(self, items: Sequence[Item]) -> Sequence[Result]:
        self.asked.append([key for key, _ in items])
        results: list[Result] = [Entry(key, value) for key, value in items]
        self.stored.update(items)
        return self._troubled(results)

    async def read(self, keys: Sequence[str]) -> Sequence[Result]:
        self.asked.append(list(keys))
        return self._troubled(
            [
                Entry(key, self.stored[key]) if key in self.stored else NotFound("none")
                for key in keys
            ]
        )

    def _troubled(self, results: list[Result]) -> list[Result]:
        if self._troubles:
            results[-1] = self._troubles.pop(0)
        return results


def traffic() -> Traffic:
    return Traffic("test", lambda _: None)


def written(cluster: Cluster) -> tuple[Ledger, Traffic]:
    ledger, writing = Ledger(), traffic()
    run(writing.write(cluster, ITEMS, ledger))
    return ledger, writing


def test_everything_is_written_once_and_read_back() -> None:
    cluster = Cluster()
    ledger, writing = written(cluster)
    assert cluster.stored == dict(ITEMS)
    assert sorted(key for keys in cluster.asked for key in keys) == sorted(k for k, _ in ITEMS)
    assert max(map(len, cluster.asked)) == cluster.entries
    assert (writing.entries, writing.unknown, writing.unserved) == (25, 0, 0)
    assert writing.latencies.count == 7
    run(traffic().read(cluster, ledger.keys, ledger))
    assert (ledger.checked, ledger.lost, ledger.mismatched) == (25, [], [])


def test_what_was_not_acknowledged_is_repeated_alone_and_counted() -> None:
    troubles = [
        ConnectionFailed("killed", outcome="unknown"),
        Overloaded("busy"),
        QuorumError("too few", outcome="unknown"),
    ]
    cluster = Cluster(troubles)
    ledger, writing = written(cluster)
    assert (writing.entries, writing.unknown, writing.unserved) == (25, 2, 1)
    assert [len(keys) for keys in cluster.asked].count(1) == 3 + 1  # 25 = 6 * 4 + 1
    assert set(ledger.keys) == {key for key, _ in ITEMS}


def test_reads_that_were_not_served_are_repeated() -> None:
    cluster = Cluster()
    ledger, _ = written(cluster)
    cluster._troubles = [Overloaded("busy")]
    reading = traffic()
    run(reading.read(cluster, ledger.keys, ledger))
    assert (ledger.checked, reading.entries, reading.unserved) == (25, 25, 1)


@pytest.mark.parametrize("error", [InvalidValue("bad"), StorageError("full", outcome="unknown")])
def test_what_repeating_does_not_mend_ends_it(error: KvorumError) -> None:
    with pytest.raises(type(error)):
        written(Cluster([error]))


def test_progress_is_told_to_the_end() -> None:
    told: list[int] = []
    run(Traffic("test", told.append).write(Cluster([Overloaded("busy")]), ITEMS, Ledger()))
    assert told == sorted(told)
    assert told[-1] == len(ITEMS)


def test_lost_and_mismatched_entries_are_found() -> None:
    cluster = Cluster()
    ledger, _ = written(cluster)
    newer = [(key, b"[" + value + b"]") for key, value in ITEMS]
    run(traffic().write(cluster, newer, ledger))
    del cluster.stored["key 3"]  # gone
    cluster.stored["key 5"] = b"5"  # fell back
    cluster.stored["key 7"] = b"[ 7]"  # equal JSON, other bytes
    run(traffic().read(cluster, ledger.keys, ledger))
    assert sorted(ledger.lost) == ["key 3", "key 5"]
    assert ledger.mismatched == ["key 7"]
    report = Report.of("14.0.0", ledger, [], 1.0)
    assert (report.ok, report.lost, report.mismatched, report.checked) == (False, 2, 1, 25)


def test_what_was_never_acknowledged_is_not_expected() -> None:
    ledger = Ledger()
    with pytest.raises(Overloaded):
        ledger.wrote(("a", b"1"), Overloaded("busy"))
    assert len(ledger) == 0

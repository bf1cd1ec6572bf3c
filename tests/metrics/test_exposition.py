"""How metrics are written: a few in each turn, and never a half of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from kit.runtime import Pump
from prometheus_client.parser import text_string_to_metric_families

from kvorum.documents.status import Status
from kvorum.journal.segment import Unflushed
from kvorum.journal.storage_numbers import StorageNumbers
from kvorum.metrics.exposition import Exposition
from kvorum.metrics.loop_lag import EVERY_S, LoopLag
from kvorum.metrics.sources import Sources
from kvorum.runtime.durations import Durations
from kvorum.service.admission import Admission
from kvorum.service.latencies import Latencies
from kvorum.storage.pressure import _NUMBERS


def exposition(pump: Any, namespaces: int, **status: Any) -> Exposition:
    document: dict[str, Any] = {
        "cluster": "shop",
        "epoch": 1,
        "node": "n1",
        "version": "0.1.0",
        "uptime_s": 1.0,
        "nodes": [],
        "namespaces": {},
        "counts": {f"space{number}": {"keys": number} for number in range(namespaces)},
    }
    told = msgspec.convert(document | status, Status)
    numbers = StorageNumbers(
        Unflushed(0, 0, 0, 0.0), Durations(), dict.fromkeys(_NUMBERS, 0), 5, 10, False
    )
    latencies = Latencies()
    lag = LoopLag(pump, latencies.count)
    sources = Sources(lambda: told, lambda: numbers, dict, latencies, Admission(5, 1), lag)
    return Exposition(sources, pump)


def test_many_namespaces_are_written_in_several_turns() -> None:
    turns: list[tuple[Any, tuple[Any, ...]]] = []

    class Turns:
        def call_soon(self, callback: Any, *args: Any) -> None:
            turns.append((callback, args))

    texts: list[bytes | None] = []
    exposition(Turns(), 1000).write(texts.append)
    taken = 0
    while turns:
        assert not texts
        callback, args = turns.pop(0)
        callback(*args)
        taken += 1
    (text,) = texts
    assert text is not None
    families = {each.name: each for each in text_string_to_metric_families(text.decode())}
    assert len(families["kvorum_namespace_keys"].samples) == 1000
    assert taken > 5


def test_where_making_them_fails_there_is_no_half_of_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pump = Pump()
    broken = exposition(pump, 1)

    def links() -> dict[str, int]:
        raise ZeroDivisionError

    broken._sources = broken._sources._replace(links=links)
    texts: list[bytes | None] = []
    broken.write(texts.append)
    pump.drain()
    assert texts == [None]
    assert "making the metrics failed" in caplog.text


def test_the_lag_is_by_how_much_the_loop_is_late() -> None:
    now, due, ticks = 0.0, [], []

    class Late:
        def now(self) -> float:
            return now

        def call_later(self, delay_s: float, callback: Any, *args: Any) -> Any:
            due.append((delay_s, callback, args))

    lag = LoopLag(Late(), lambda: ticks.append(now))  # type: ignore[arg-type]
    lag.start()
    delay_s, callback, args = due.pop()
    assert delay_s == EVERY_S
    now = EVERY_S + 0.04
    callback(*args)
    assert lag.lags.seconds == pytest.approx(0.04)
    assert (len(due), len(ticks)) == (1, 1), "it goes on"

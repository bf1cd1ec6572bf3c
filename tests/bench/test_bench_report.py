from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_plans import make_plan

from kvorum import __version__
from kvorum.bench import report
from kvorum.bench.measurement import Measurement
from kvorum.client.security import Security


def measured(errors: int = 0) -> Measurement:
    measurement = Measurement()
    for milliseconds in range(1, 101):
        measurement.succeeded("read", milliseconds * 1_000_000)
    for _ in range(errors):
        measurement.failed("update", "HTTP 503 overloaded")
    measurement.elapsed_s = 2.0
    return measurement


def test_the_document_holds_what_repeats_the_figures() -> None:
    plan = make_plan(seed=42, namespace="tests")
    document = json.loads(json.dumps(report.document(plan, None, measured())))
    assert document["kvorum"] == __version__
    assert document["plan"]["seed"] == 42
    assert document["plan"]["servers"] == ["127.0.0.1:7400"]
    assert document["plan"]["namespace"] == "tests"
    assert document["machine"]["cores"] >= 1
    assert document["machine"]["memory_gib"] > 0
    assert document["load"] is None


def test_the_document_holds_no_secret() -> None:
    plan = make_plan(security=Security(token="planted-5ecret", ca=Path("ca.crt")))
    document = json.dumps(report.document(plan, None, measured()))
    assert "planted" not in document + repr(plan)
    assert json.loads(document)["plan"]["tls"] is True


def test_the_document_holds_the_figures() -> None:
    run = report.document(make_plan(), measured(), measured(errors=25))["run"]
    assert run["per_second"] == 50
    assert run["error_share"] == 0.2
    assert run["errors"] == [{"operation": "update", "reason": "HTTP 503 overloaded", "count": 25}]
    latency = run["latency_ms"]["read"]
    assert latency["count"] == 100
    assert latency["mean"] == pytest.approx(50.5)
    assert latency["p50"] == pytest.approx(50, rel=0.01)
    assert latency["p99.9"] == latency["max"] == 100


def test_the_document_of_a_run_without_success() -> None:
    nothing = Measurement()
    nothing.failed("read", "timeout")
    run = report.document(make_plan(), None, nothing)["run"]
    assert (run["operations"], run["per_second"], run["error_share"]) == (0, 0, 1)
    assert run["latency_ms"] == {}

"""`kvorum demo`, with real nodes: what it shows, what it checks, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from kit.program import is_running, kvorum, refusal
from kit.waiting import eventually

from kvorum import connect
from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.client.entry import Entry
from kvorum.demo import characters, story
from kvorum.demo.audience import Audience
from kvorum.demo.ledger import Ledger
from kvorum.demo.report import Report
from kvorum.demo.traffic import Traffic
from kvorum.devcluster.layout import Layout
from kvorum.devcluster.ports import local_topology
from kvorum.model.errors import NotFound
from kvorum.runtime.loop import run

SOME = 500


class Watcher:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.seen: list[Traffic] = []

    def hear(self, text: str) -> None:
        self.heard.append(text)

    def begin(self, title: str, entries: int) -> Callable[[int], object]:
        return lambda _: None

    def end(self, traffic: Traffic) -> None:
        self.seen.append(traffic)

    def pids(self) -> list[int]:
        return pids_in("\n".join(self.heard))


class Killer:
    """Passes all on to `audience`, and kills every node as soon as something is written."""

    def __init__(self, audience: Audience, pids: list[int]) -> None:
        self._audience = audience
        self._pids = pids

    def hear(self, text: str) -> None:
        self._pids += pids_in(text)
        self._audience.hear(text)

    def begin(self, title: str, entries: int) -> Callable[[int], object]:
        return self._kill

    def end(self, traffic: Traffic) -> None: ...

    def _kill(self, _done: int) -> None:
        for pid in filter(is_running, self._pids):
            os.kill(pid, signal.SIGKILL)


def pids_in(text: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"process (\d+)", text)]


@pytest.mark.parametrize("count", [1, SOME])
def test_a_node_is_killed_and_nothing_is_lost(tmp_path: Path, count: int) -> None:
    named = list(characters.named_characters())[:count]
    watcher = Watcher()
    report = run(story.play(tmp_path, named, watcher))
    assert report.ok
    assert (report.lost, report.mismatched, report.entries) == (0, 0, 3 * count)
    assert report.checked >= (2 + 3) * count
    assert [phase.name for phase in report.phases] == [
        "import via n1",
        "read via n2",
        "write singly",
        "read singly",
        "update",
        "read without n3",
        "verify via n3",
    ]
    assert report.phases[-1].entries == 3 * count
    assert any("killed (SIGKILL)" in text for text in watcher.heard)
    pids = watcher.pids()
    assert len(pids) == 4  # three nodes, and n3 a second time
    assert not any(map(is_running, pids))


def test_it_is_said_how_entries_come_of_characters() -> None:
    said = story.arithmetic(34_527)
    assert all(number in said for number in ("34,527", "69,054", "103,581"))


@pytest.mark.usefixtures("few_characters")
def test_figures_are_shown_once_and_a_kill_when_it_has_happened() -> None:
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 0, result.stderr
    told = result.stderr.splitlines()
    assert not any("/s" in line for line in told if "done" in line)
    killed = next(number for number, line in enumerate(told) if "killed" in line)
    assert any(line.startswith("update:") for line in told[:killed])
    assert "1,500 entries, 3 for each of 500 characters" in result.stdout


@pytest.fixture
def few_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    few = list(characters.named_characters())[:SOME]
    monkeypatch.setattr(characters, "named_characters", lambda: iter(few))


@pytest.mark.usefixtures("few_characters")
def test_kept_data_can_be_had_again(tmp_path: Path) -> None:
    directory = tmp_path / "kept dir ñ"
    result = CliRunner().invoke(main, ["demo", "-o", "json", "--keep", str(directory)])
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["ok"]
    assert report["lost"] == 0
    assert {"p50", "p95", "p99", "max"} == report["phases"][0]["latency_ms"].keys()
    assert f"kvorum up --data-dir '{directory}'\n" in result.stderr
    with kvorum("up", "--data-dir", directory, "-o", "json") as cluster:
        while (event := json.loads(cluster.line()))["event"] != "cluster_ready":
            pass
        with connect(event["url"]) as store:
            assert store.get("LATIN SMALL LETTER SHARP S") == "U+00DF"
            assert store.get("ß") == ["U+00DF", "LATIN SMALL LETTER SHARP S"]
        assert cluster.stopped() == 0


def test_the_table_says_that_nothing_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(*_: object) -> Report:
        verified = Traffic("verify via n3", lambda _: None)
        verified.latencies.record(1)
        return Report.of("14.0.0", Ledger(), [verified], 1.0)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(story, "play", play)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 0, result.stderr
    for part in ("lost: 0", "mismatched: 0", "p99", "entries/s", "verify via n3"):
        assert part in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with kvorum("demo", TMPDIR=tmp_path) as program:
        eventually(lambda: any("import" in line for line in program.errors), "the import")
        pids = pids_in("\n".join(program.errors))
        assert len(pids) == 3
        assert all(map(is_running, pids))
        assert len(list(tmp_path.iterdir())) == 1
        program.send(number)
        assert program.ended() == ExitCode.INTERRUPTED
        assert program.errors[-1] == "error: interrupted"
        assert not any(map(is_running, pids))
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_fails_says_why_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All nodes are killed while it writes, so that nobody can acknowledge any more."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("kvorum.demo.traffic._GIVE_UP_S", 0.5)
    pids: list[int] = []

    async def play(directory: Path, named: object, audience: Audience) -> Report:
        return await real(directory, list(characters.named_characters()), Killer(audience, pids))

    real = story.play
    monkeypatch.setattr(story, "play", play)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code in (ExitCode.UNAVAILABLE, ExitCode.UNKNOWN)
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert len(pids) == 3
    assert not any(map(is_running, pids))
    assert list(tmp_path.iterdir()) == []


def test_lost_entries_end_it_with_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    ledger.wrote(("ß", b"1"), Entry("ß", b"1"))
    ledger.check("ß", NotFound("none"))

    async def play(*_: object) -> Report:
        return Report.of("14.0.0", ledger, [], 1.0)

    monkeypatch.setattr(story, "play", play)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "lost: 1" in result.stdout
    assert "1 lost" in result.stderr
    assert "'ß'" in result.stderr


def test_a_directory_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    Layout(tmp_path).create(local_topology(3, 8000))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    status, line = refusal("demo", "--keep", tmp_path)
    assert status == ExitCode.CONFIG
    assert str(tmp_path) in line
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

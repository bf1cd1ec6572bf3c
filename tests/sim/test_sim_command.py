from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.replication import write
from kvorum.sim.draw import draw
from kvorum.sim.parameters import OPERATIONS
from kvorum.sim.run import simulate


def sim(*options: str) -> Result:
    return CliRunner().invoke(main, ["sim", *options])


def document(*options: str) -> dict[str, Any]:
    result = sim("-o", "json", *options)
    assert result.exit_code == ExitCode.OK, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes are answered twice."""
    reply = write.WriteOperation._answer_with

    def twice(self: write.WriteOperation, result: Any) -> None:
        reply(self, result)
        reply(self, result)

    monkeypatch.setattr(write.WriteOperation, "_answer_with", twice)


def test_json_adds_up_the_seeds() -> None:
    found = document("--seeds", "3", "--first-seed", "20")
    reports = [simulate(draw(seed)) for seed in range(20, 23)]
    assert found["seeds"] == 3
    assert found["failed"] == 0
    assert found["failures"] == []
    for figure in ("operations", "acked", "refused", "unknown", "writes_forgotten"):
        assert found[figure] == sum(getattr(report, figure) for report in reports), figure
    assert found["faults"]["crash"] == sum(report.faults["crash"] for report in reports)
    assert found["simulated_s"] == round(sum(r.simulated_s for r in reports), 3)
    assert found["wall_s"] > 0
    assert found["seeds_per_minute"] > 0


def test_jobs_change_nothing_but_the_time() -> None:
    timing = {"wall_s", "seeds_per_minute"}
    few = ("--seeds", "4", "--operations", "60")
    alone, shared = document(*few), document(*few, "--jobs", "2")
    assert {k: v for k, v in alone.items() if k not in timing} == {
        k: v for k, v in shared.items() if k not in timing
    }


def test_a_table_is_the_default() -> None:
    result = sim("--seeds", "2")
    assert result.exit_code == ExitCode.OK
    for word in ("seeds", "acked", "crash", "seeds per minute"):
        assert word in result.stdout


def test_nodes_and_operations_are_heeded() -> None:
    few = document("--seeds", "1", "--operations", "10", "--nodes", "3")
    many = document("--seeds", "1", "--operations", "300", "--nodes", "3")
    assert many["operations"] - few["operations"] == 290


@pytest.mark.usefixtures("broken")
def test_a_failure_names_its_reason_and_the_command_that_replays_it() -> None:
    result = sim("--seeds", "2", "--first-seed", "7", "--nodes", "4", "--operations", "50")
    assert result.exit_code == ExitCode.REFUSED
    assert "ended 2 times" in result.stdout
    replay = "kvorum sim --seeds 1 --first-seed 7 --nodes 4 --operations 50 --trace"
    assert replay in result.stdout

    again = sim(*replay.split()[2:], "-o", "json")
    assert again.exit_code == ExitCode.REFUSED
    (failure,) = json.loads(again.stdout)["failures"]
    assert failure["seed"] == 7
    assert failure["violations"][0] in again.stderr
    assert failure["trace"] == simulate(draw(7, 4, 50)).trace


@pytest.mark.usefixtures("broken")
def test_a_replay_names_only_what_was_asked_for() -> None:
    result = sim("--seeds", "1", "--first-seed", "7")
    assert "kvorum sim --seeds 1 --first-seed 7 --trace\n" in result.stdout


def test_a_trace_shows_every_event_on_stderr() -> None:
    result = sim("--seeds", "1", "--trace", "-o", "json")
    lines: list[str] = []
    simulate(draw(0), lines.append)
    assert result.stderr.splitlines()[1:] == lines
    assert "(op=" in result.stderr
    assert json.loads(result.stdout)["seeds"] == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--seeds", "0"),
        ("--first-seed", "-1"),
        ("--nodes", "1"),
        ("--operations", "0"),
        ("--jobs", "2", "--trace"),
    ],
)
def test_bad_options_are_refused(options: tuple[str, ...]) -> None:
    assert sim(*options).exit_code == ExitCode.USAGE


def test_the_default_is_what_the_parameters_say() -> None:
    assert document("--seeds", "1") | {"wall_s": 0, "seeds_per_minute": 0} == document(
        "--seeds", "1", "--operations", str(OPERATIONS)
    ) | {"wall_s": 0, "seeds_per_minute": 0}

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from bugs import BUGS, Bug
from click.testing import CliRunner
from hunt import SOURCE, first_failure, main

FAST_SEEDS = 20
"""Bugs that need no more are hunted here; `hunt.py` hunts all."""

GUIDE = Path(__file__).parents[2] / "docs" / "reliability.md"


def named(bug: Bug) -> str:
    return bug.name


def hunted() -> list[Bug]:
    return [bug for bug in BUGS if not bug.missed]


def fast() -> list[Bug]:
    return [bug for bug in hunted() if bug.seeds <= FAST_SEEDS and not bug.caught_by]


@pytest.mark.parametrize("bug", BUGS, ids=named)
def test_each_bug_still_applies(bug: Bug) -> None:
    source = (SOURCE / bug.file).read_text()
    planted = bug.plant(source)
    assert ast.dump(ast.parse(planted)) != ast.dump(ast.parse(source))
    compile(planted, bug.file, "exec")


def test_there_are_enough_and_no_two_alike() -> None:
    assert len(hunted()) >= 20
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert len({(bug.file, bug.plant((SOURCE / bug.file).read_text())) for bug in BUGS}) == len(
        BUGS
    )


def test_a_bug_whose_text_has_gone_says_so() -> None:
    bug = Bug("gone", "nothing", "model/tally.py", "no such text", "", 1)
    with pytest.raises(ValueError, match=r"gone replaces is 0 times in model/tally\.py"):
        bug.plant((SOURCE / bug.file).read_text())


@pytest.mark.slow
@pytest.mark.parametrize("bug", fast(), ids=named)
def test_the_simulator_catches(bug: Bug) -> None:
    caught = [catch for catch in first_failure(bug, bug.seeds) if catch is not None]
    assert len(caught) == 1


@pytest.mark.slow
def test_the_same_seeds_pass_without_a_bug() -> None:
    assert list(first_failure(None, FAST_SEEDS)) == [None] * FAST_SEEDS


def test_the_command_reports_what_was_caught_where() -> None:
    bug = min(fast(), key=lambda bug: bug.seeds)
    result = CliRunner().invoke(main, ["--bug", bug.name, "-o", "json"])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert found["bug"] == bug.name
    assert found["caught"]["check"]
    assert 0 <= found["caught"]["seed"] < bug.seeds


def test_an_escaped_bug_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    harmless = Bug(
        "harmless", "nothing", "model/tally.py", "import annotations", "import annotations ", 2
    )
    monkeypatch.setattr("hunt.BUGS", (harmless,))
    result = CliRunner().invoke(main)
    assert result.exit_code == 1
    assert "harmless escaped" in result.stderr


def test_a_bug_that_the_simulator_does_not_run_is_caught_by_the_tests_it_names() -> None:
    bug = next(bug for bug in BUGS if bug.caught_by == "wire/test_pieces.py")
    result = CliRunner().invoke(main, ["--bug", bug.name, "-o", "json"])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert found["caught"]["check"] == "tests/wire/test_pieces.py"
    assert found["caught"]["seed"] is None


def test_the_guide_lists_them_all() -> None:
    guide = GUIDE.read_text()
    rows = re.findall(r"^\| ([a-z-]+) \| .* \| (\d+) \|$", guide, re.MULTILINE)
    assert rows == [(bug.name, str(bug.seeds)) for bug in hunted()]
    missed = guide.partition("### Not caught")[2].partition("## Figures")[0]
    named_there = re.findall(r"^\| ([a-z-]+) \| .* \|$", missed, re.MULTILINE)
    assert named_there == ["bug", *(bug.name for bug in BUGS if bug.missed)]


def test_the_guide_says_how_many_are_caught_and_that_is_enough() -> None:
    caught = len(hunted())
    assert f"Of {len(BUGS)} planted bugs {caught} are caught" in GUIDE.read_text()
    assert caught >= 0.94 * len(BUGS)

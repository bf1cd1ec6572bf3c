"""kvorum audit verify and tail: what they print, find and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kit.audit_logs import Somebody, entries, lines, note_some, running, written
from kit.program import kvorum

from kvorum.audit.files import path_of
from kvorum.cli import main
from kvorum.cli.errors import ExitCode


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(main, ["audit", *map(str, words)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """In the data directory of a node."""
    directory = tmp_path / "audit"
    with running(directory) as audit:
        note_some(audit, 5)
        audit.note(Somebody("eve"), "set_namespace", "shop", None, "access_denied")
        audit.refused_login("10.0.0.9", "mallory", "unauthenticated")
    return directory


def last_of(log: Path) -> str:
    last = json.loads(lines(log)[-1])
    return f"{last['n']}:{last['hash']}"


def test_a_whole_log_is_verified_and_its_end_told(log: Path) -> None:
    for directory in (log, log.parent):
        result = run("verify", directory)
        assert result.exit_code == 0
        assert result.stdout.splitlines() == [
            f"The audit log in {log} is whole: entries 1 to 9, in 1 file.",
            f"last: {last_of(log)}",
        ]


def test_what_was_noted_earlier_is_expected_later(log: Path) -> None:
    noted = last_of(log)
    written(log, 5)
    assert run("verify", log, "--expect", noted).exit_code == 0
    other = noted[:-1] + ("0" if noted[-1] != "0" else "1")
    result = run("verify", log, "--expect", noted, "--expect", other)
    assert result.exit_code == ExitCode.NOT_FOUND
    assert result.stdout.startswith(f"rewritten: {log}/audit-000001.jsonl, line 9: ")
    result = run("verify", log, "--expect", f"99:{noted[2:]}")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "The log ends with entry 16, and entry 99 was expected" in result.stdout


def test_the_first_line_that_is_wrong_is_named(log: Path) -> None:
    file = path_of(log, 1)
    file.write_bytes(file.read_bytes().replace(b'"k2"', b'"k3"'))
    result = run("verify", log)
    assert result.exit_code == ExitCode.NOT_FOUND
    assert result.stdout.splitlines() == [
        f"changed: {file}, line 4: The line does not fit its hash. It follows entry 3.",
        "The entries 1 to 3 before that are whole.",
    ]
    result = run("verify", log, "-o", "json")
    assert result.exit_code == ExitCode.NOT_FOUND
    document = json.loads(result.stdout)
    assert (document["whole"], document["last"]) == (False, 3)
    assert document["problem"] == {
        "wrong": "changed",
        "file": "audit-000001.jsonl",
        "line": 4,
        "message": "The line does not fit its hash. It follows entry 3.",
    }


def test_a_verdict_for_programs(log: Path) -> None:
    document = json.loads(run("verify", log, "-o", "json").stdout)
    assert f"{document.pop('last')}:{document.pop('hash')}" == last_of(log)
    assert document == {
        "whole": True,
        "directory": str(log),
        "files": 1,
        "entries": 9,
        "first": 1,
        "dropped": 0,
        "torn": 0,
        "problem": None,
    }


@pytest.mark.parametrize("words", [("verify",), ("tail",)])
def test_a_directory_without_a_log_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = run(*words, tmp_path)
    assert result.exit_code == ExitCode.CONFIG
    assert f"There is no audit log in {tmp_path}." in result.stderr
    assert run(*words, tmp_path / "nowhere").exit_code == ExitCode.USAGE


@pytest.mark.parametrize("given", ["", "7", "7:", "0:" + "a" * 64, "x:" + "a" * 64, "7:zz", "²:a"])
def test_what_is_no_number_and_hash_is_refused(log: Path, given: str) -> None:
    result = run("verify", log, "--expect", given)
    assert result.exit_code == ExitCode.USAGE
    assert "is no entry's number and hash" in result.stderr


def test_the_last_entries_are_printed(log: Path) -> None:
    result = run("tail", log.parent, "-n", "3")
    assert result.exit_code == 0
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "2023-11-14T22:13:20.000Z access_denied eve (token, 10.0.0.7) set_namespace shop",
        "2023-11-14T22:13:20.000Z unauthenticated mallory (unknown, 10.0.0.9) login",
        "2023-11-14T22:13:20.000Z ok n1 (log) audit.stopped",
    ]


@pytest.mark.parametrize(
    ("words", "actions"),
    [
        (["--name", "eve"], ["set_namespace"]),
        (["--action", "login"], ["login"]),
        (["--refused"], ["set_namespace", "login"]),
        (["--refused", "--name", "ops"], []),
        (["-n", "1", "--refused"], ["login"]),
        (["-n", "0"], []),
    ],
)
def test_entries_are_selected(log: Path, words: list[str], actions: list[str]) -> None:
    result = run("tail", log, *words, "-o", "json")
    assert [json.loads(line)["action"] for line in result.stdout.splitlines()] == actions


def test_entries_for_programs_are_those_of_the_log(log: Path) -> None:
    printed = run("tail", log, "-n", "1", "--name", "eve", "-o", "json").stdout
    [entry] = [entry for entry in entries(log) if entry["name"] == "eve"]
    assert json.loads(printed) == entry


def test_lines_that_are_no_entries_are_passed_over(log: Path) -> None:
    with path_of(log, 1).open("ab") as file:
        file.write(b"\xff\n[]\n{")
    assert len(run("tail", log, "-n", "100").stdout.splitlines()) == 9


def test_what_is_written_is_followed_over_files(tmp_path: Path) -> None:
    with (
        running(tmp_path, file_bytes=4000) as log,
        kvorum("audit", "tail", tmp_path, "-n", "1", "--follow", "-o", "json") as program,
    ):
        assert json.loads(program.line())["action"] == "audit.started"
        note_some(log, 100)
        assert [json.loads(program.line())["key"] for _ in range(64)] == [
            f"k{number}" for number in range(64)
        ]

"""`kvorum up --detach`, `kvorum down` and `kvorum restart --rolling`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kvorum import connect
from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.devcluster.hold import holder
from kvorum.devcluster.ports import free_port


def run(*words: str | int | Path, **environment: str | Path | int) -> Result:
    variables = {name: str(value) for name, value in environment.items()}
    return CliRunner().invoke(main, list(map(str, words)), env=variables)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Of a cluster; deep, because addresses of sockets are bounded."""
    path = tmp_path / ("deep" * 25) / "data"
    yield path
    process = holder(path) if path.exists() else None
    if process is not None:
        os.kill(process, signal.SIGKILL)


def documents(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_cluster_runs_in_the_background_until_it_is_stopped(directory: Path) -> None:
    port = free_port(2)
    place = ("--data-dir", directory)
    [started] = documents(run("up", "-n", 2, *place, "--port", port, "--detach", "-o", "json"))
    assert started["pid"] == holder(directory)
    with connect(started["url"]) as store:
        store.set("apple", "red")
    again = run("up", *place)
    assert again.exit_code == ExitCode.CONFIG
    assert f"runs already, as process {started['pid']}" in again.stderr
    *progress, ended = documents(run("restart", "--rolling", *place, "-o", "json"))
    assert ended == {"restarted": True}
    told = [line["progress"] for line in progress]
    assert [line for line in told if "restarting" in line] == ["n1: restarting", "n2: restarting"]
    with connect(started["url"]) as store:
        assert store.get("apple") == "red"
    [stopped] = documents(run("down", *place, "-o", "json"))
    assert (stopped["stopped"], stopped["pid"]) == (True, started["pid"])
    assert holder(directory) is None
    log = (directory / "up.log").read_text()
    assert "not cleanly" not in log
    assert "died" not in log
    assert run("down", *place).stdout == f"No cluster runs in {directory}.\n"


def test_what_keeps_it_from_starting_is_told(directory: Path) -> None:
    refused = run("up", "--data-dir", directory, "--detach", "--memory", "1MB", "-n", 1)
    assert refused.exit_code == ExitCode.CONFIG
    assert not directory.exists()


def test_without_a_cluster_there_is_nothing_to_restart(tmp_path: Path) -> None:
    refused = run("restart", "--rolling", "--data-dir", tmp_path)
    assert refused.exit_code == ExitCode.CONFIG
    assert f"No cluster is ready in {tmp_path}." in refused.stderr
    assert run("restart", "--data-dir", tmp_path).exit_code == ExitCode.USAGE

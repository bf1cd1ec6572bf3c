"""The width of --help."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from click.testing import CliRunner

from kvorum.cli import main


def widest(text: str) -> int:
    return max(len(line) for line in text.splitlines())


@pytest.mark.parametrize(("columns", "least", "most"), [(60, 45, 60), (90, 80, 90), (300, 85, 100)])
@pytest.mark.parametrize("words", [["--help"], ["import", "--help"]])
def test_it_is_what_columns_says(
    monkeypatch: pytest.MonkeyPatch, words: list[str], columns: int, least: int, most: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = CliRunner().invoke(main, words).stdout
    text = "\n".join(line for line in shown.splitlines() if "kvorum" not in line)  # no examples
    assert least <= widest(text) <= most


@pytest.mark.parametrize("columns", ["0", "-5", "many", "", "9" * 4000])
def test_what_is_no_width_is_ignored(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0


def test_behind_a_pager_it_is_the_width_of_the_terminal() -> None:
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    shown = subprocess.run(
        [sys.executable, "-m", "kvorum", "get", "--help"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=env,
        timeout=60,
        check=True,
    ).stdout.decode()
    os.close(theirs)
    os.close(terminal)
    text = "\n".join(line for line in shown.splitlines() if "  kvorum" not in line)
    assert 45 <= widest(text) <= 60

"""What the guide to the command line says is what the commands take and do."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from kvorum.cli import main
from kvorum.cli.errors import EXIT_CODES

GUIDE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
EXAMPLES = re.findall(r"^\$ (?:.*\| )?kvorum ([^|>\n]+)", GUIDE, re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_command(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("logo.png").touch()
    name, *words = shlex.split(example, comments=True)
    with main.make_context("kvorum", [name, *words]) as ctx:
        command = main.get_command(ctx, name)
        assert isinstance(command, click.Command)
        command.make_context(name, words, parent=ctx).close()


def test_the_exit_codes_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", GUIDE, re.MULTILINE))
    assert rows == {str(int(code)): meaning for code, meaning in EXIT_CODES.items()}

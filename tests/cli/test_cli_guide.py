"""What the guide to the command line says is what the commands take and do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kvorum.cli import main
from kvorum.cli.errors import EXIT_CODES

GUIDE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
TABLE = GUIDE.partition("## All commands")[2].partition("|---|---|")[2].partition("## ")[0]
ROWS = re.findall(r"^\| ([a-z -]+)(\*?) \| (.*?) ?\|$", TABLE, re.MULTILINE)
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


def commands(
    group: click.Group, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            assert command is not None
            yield " ".join((*words, name)), command


COMMANDS = dict(commands(main))
ASKING = {
    "--server", "--context", "--ca", "--cert", "--cert-key", "--token-file", "--timeout", "--output"
}  # fmt: skip


def options(command: click.Command) -> set[str]:
    every = (one for one in command.params if isinstance(one, click.Option) and not one.hidden)
    return {one.opts[-1] for one in every}


def test_the_table_of_commands_is_that_of_the_program() -> None:
    shown = {name: (star, set(re.findall("`(.+?)`", own))) for name, star, own in ROWS}
    assert shown == {
        name: (
            "*" if "--server" in options(command) else "",
            options(command) - (ASKING if "--server" in options(command) else {"--output"}),
        )
        for name, command in COMMANDS.items()
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_each_option_is_for_and_shows_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert f"    kvorum {name}" in (command.help or "")
    assert ("--output" in options(command)) == (name != "serve")
    for param in command.params:
        assert not isinstance(param, click.Option) or param.hidden or param.help, param.name

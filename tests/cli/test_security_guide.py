"""The guide to tokens and users: its examples are commands, its tables what the program knows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from kvorum.cli import main
from kvorum.model.permissions import ROLES, Permission

GUIDE = (Path(__file__).parents[2] / "docs" / "tokens-and-users.md").read_text()
EXAMPLES = re.findall(
    r"^\$ (?:[A-Z_]+=\S+ )?kvorum ((?:token|user|role|get) [^|<>\n]+)", GUIDE, re.MULTILINE
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_command(example: str, tmp_path: Path) -> None:
    words = shlex.split(example.replace("/var/lib/kvorum/n1", str(tmp_path)), comments=True)
    command: click.Command = main
    ctx = click.Context(main)
    while isinstance(command, click.Group):
        found = command.get_command(ctx, words.pop(0))
        assert found is not None
        command = found
    command.make_context(command.name, words, parent=ctx).close()


def test_the_permissions_are_those_that_there_are() -> None:
    table = GUIDE.partition("| permission |")[2].partition("| role |")[0]
    assert re.findall(r"^\| `([a-z.]+)` \|", table, re.MULTILINE) == list(Permission)


def test_the_roles_are_those_that_are_built_in() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \| ((?:`[a-z.]+` ?)+|all )\|$", GUIDE, re.MULTILINE)
    shown = {name: re.findall("`(.+?)`", allowed) or list(Permission) for name, allowed in rows}
    assert shown == {name: list(role.permissions) for name, role in ROLES.items()}

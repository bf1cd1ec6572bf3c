"""Options of servers by environment variables, and completion by shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from kvorum.cli import main
from kvorum.cli.errors import ExitCode
from kvorum.cli.servers.environment import variable
from kvorum.cli.servers.serve import serve
from kvorum.cli.servers.up import up

GUIDE = Path(__file__).parent.parent.parent / "docs" / "cli.md"


def options(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


@pytest.mark.parametrize("command", [serve, up], ids=lambda command: str(command.name))
def test_every_option_has_a_variable_that_help_and_guide_name(command: click.Command) -> None:
    shown = CliRunner().invoke(main, [str(command.name), "--help"]).stdout
    words = "".join(shown.split())
    guide = GUIDE.read_text()
    for option in options(command):
        name = variable(command, option)
        assert option.envvar == name
        assert name in words
        assert f"`{name}`" in guide


def test_a_variable_stands_for_its_option(tmp_path: Path) -> None:
    def refusal(*words: str, **environment: str) -> str:
        result = CliRunner().invoke(main, list(words), env=environment)
        assert result.exit_code != 0
        return result.stderr

    data = {"KVORUM_SERVE_DATA_DIR": str(tmp_path / "data")}
    assert "10.0.0.1:7400, which other machines can reach" in refusal(
        "serve", **data, KVORUM_SERVE_HOST="10.0.0.1"
    )
    assert "'x'" in refusal("serve", **data, KVORUM_SERVE_PORT="x")
    assert "'http://b' is not a host name" in refusal(
        "serve", **data, KVORUM_SERVE_ALLOW_HOST="a http://b"
    )
    assert not (tmp_path / "data").exists()


def test_what_is_given_counts_for_more(tmp_path: Path) -> None:
    words = ["serve", "--data-dir", str(tmp_path / "data"), "--host", "10.0.0.2"]
    result = CliRunner().invoke(main, words, env={"KVORUM_SERVE_HOST": "10.0.0.1"})
    assert result.exit_code == ExitCode.CONFIG
    assert "10.0.0.2" in result.stderr


SOURCING = {
    "bash": 'eval "$(_KVORUM_COMPLETE=bash_source kvorum)"; complete -p kvorum',
    "zsh": 'autoload -U compinit; compinit -u; eval "$(_KVORUM_COMPLETE=zsh_source kvorum)"; '
    "print $_comps[kvorum]",
    "fish": "_KVORUM_COMPLETE=fish_source kvorum | source; complete -C 'kvorum resta'",
}


@pytest.mark.parametrize("shell", SOURCING)
def test_shells_complete_commands_and_options(shell: str) -> None:
    program = Path(sys.executable).parent / "kvorum"
    script = subprocess.run(
        [program],
        env={**os.environ, "_KVORUM_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "_KVORUM_COMPLETE" in script
    asked = {
        "_KVORUM_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "kvorum resta",
        "COMP_CWORD": "1",
    }
    if shell == "fish":
        asked["COMP_CWORD"] = "resta"
    answer = subprocess.run(
        [program], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    ).stdout
    assert "restart" in answer


@pytest.mark.parametrize("shell", SOURCING)
def test_what_the_guide_says_about_a_shell_works_in_it(shell: str) -> None:
    line = next(part for part in SOURCING[shell].split("; ") if "_KVORUM_COMPLETE" in part)
    assert f"    {line}\n" in GUIDE.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [shell, "-c", SOURCING[shell]],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "kvorum" in done.stdout or "restart" in done.stdout

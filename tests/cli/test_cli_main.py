"""The program as such: help, errors and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from kit.http_store import StoreDouble
from test_inspect_commands import RING, STATUS

from kvorum import __version__
from kvorum.cli import main
from kvorum.cli.errors import ExitCode, exit_code, one_line, wants_json
from kvorum.cli.main import COMMANDS
from kvorum.model import errors


def run(
    *words: str, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "kvorum", *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
    )


def test_help_names_every_command_and_exit_code() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, lazy in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert lazy.help in result.stdout
    assert all(f"  {code:d} " in result.stdout for code in ExitCode)


def test_help_loads_no_command() -> None:
    source = (
        "import sys\nfrom kvorum.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(sorted({'asyncio', 'msgspec', 'rich', 'httptools', 'uvloop'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.endswith("\n[]\n"), done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_its_use(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.stderr
    assert f"Usage: main {name}" in result.stdout


def test_the_version() -> None:
    assert run("--version").stdout == f"kvorum {__version__}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["gte", "k"], "There is no command 'gte'. Did you mean 'get'? See"),
        (["xyzzy"], "There is no command 'xyzzy'. See"),
        (["nosuch"], "There is no command 'nosuch'. See"),
        (["improt"], "Did you mean 'import'"),
        (["snap"], "Did you mean 'snapshot'"),
        (["sett"], "Did you mean 'set'"),
        (["namspace"], "Did you mean 'namespace'"),
        (["--foo"], "No such option '--foo'"),
        (["-o", "table", "get"], "No such option '-o'"),
        (["get"], "Missing argument 'KEY...'"),
        (["locate"], "Missing argument 'KEY'"),
        (["get", "k", "--colour"], "--colour"),
        (["get", "k", "--namespce", "n"], "Did you mean '--namespace'? See"),
        (["set", "k", "1", "--ttl", "soon"], "'soon' is no lifetime. Give seconds"),
        (["set", "k", "1", "-w", "soon"], "'soon' is not a whole number"),
        (["get", "k", "--timeout", "soon"], "'soon' is not a number. See"),
        (["get", "k", "-r", "none"], "none"),
    ],
)
def test_misuse_is_one_line_that_points_to_help(words: list[str], says: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith("error: ")
    assert says in result.stderr
    assert "--help'" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["get", "k", "--colour", "-o", "json"], ["-o", "json", "get"]])
def test_errors_are_json_for_those_who_want_json(words: list[str]) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == ExitCode.USAGE
    assert json.loads(result.stderr)["error"]["code"] == "usage"


@pytest.mark.parametrize("words", [[], ["data-keys"], ["master-keys"], ["snapshot"], ["namespace"]])
def test_a_group_without_a_command_shows_its_help(words: list[str]) -> None:
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert result.stderr == CliRunner().invoke(main, [*words, "--help"]).stdout


def test_a_wrong_server_is_a_matter_of_configuration() -> None:
    result = CliRunner().invoke(main, ["get", "k", "--server", "a:b:c"])
    assert result.exit_code == ExitCode.CONFIG
    assert result.stderr.count("\n") == 1


def test_an_expected_error_of_the_real_program_is_no_traceback() -> None:
    # Time enough for all attempts: a deadline that cuts the last one short is told instead.
    done = run("get", "k", "--server", "127.0.0.1:1", "--timeout", "10")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert done.stdout == ""
    assert (
        done.stderr
        == "error: Could not connect to 127.0.0.1:1: Connection refused. Is it running?\n"
    )


def test_who_stops_reading_gets_no_traceback(store: StoreDouble) -> None:
    for n in range(3000):
        store.put(f"k{n}", "x" * 1000)
    command = f"{sys.executable} -m kvorum export --server {store.address} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[1:] == [str(int(ExitCode.BROKEN_PIPE))]


def refused_output(*words: str, stdout: int) -> tuple[int, str]:
    """(exit status, stderr) of the program whose stdout is that."""
    command = [sys.executable, "-W", "error", "-m", "kvorum", *words]
    done = subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("words", "asks"),
    [
        ("--help", False),
        ("get --help", False),
        ("sim --seeds 1 --operations 1", False),
        ("get k", True),
        ("get k -o json", True),
        ("get large", True),
        ("export", True),
        ("status", True),
        ("ring", True),
    ],
)
def test_a_full_stdout_is_one_line_and_an_exit_code(
    store: StoreDouble, words: str, asks: bool
) -> None:
    store.put("k", 1)
    store.put("large", "x" * 1_000_000)
    store.documents |= {"/status": STATUS, "/ring": RING}
    server = ["--server", store.address] if asks else []
    with open("/dev/full", "wb") as full:
        status, errors = refused_output(*words.split(), *server, stdout=full.fileno())
    assert status == ExitCode.CONFIG
    assert errors.count("\n") == 1
    assert "Cannot write to stdout: No space left on device" in errors
    if "json" in words:
        assert json.loads(errors)["error"]["outcome"] == "unknown"


@pytest.mark.parametrize("words", ["get k", "status", "export"])
def test_a_stdout_that_nobody_reads_is_no_error_of_ours(store: StoreDouble, words: str) -> None:
    store.put("k", 1)
    store.documents |= {"/status": STATUS}
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = refused_output(*words.split(), "--server", store.address, stdout=theirs)
    finally:
        os.close(theirs)
    assert done == (ExitCode.BROKEN_PIPE, "")


def test_a_closed_stdout_is_told_before_anything_is_done(store: StoreDouble) -> None:
    command = f"{sys.executable} -m kvorum set k 1 --server {store.address} >&-"
    done = subprocess.run(
        ["bash", "-c", command], stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert done.returncode == ExitCode.CONFIG
    assert done.stderr.startswith("error: Cannot write to stdout: it is closed")
    assert store.values() == {}


def commands(command: click.Command = main) -> Iterator[click.Command]:
    """All that can be called, however deep in groups."""
    yield command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            assert found is not None
            yield from commands(found)


def test_no_empty_path_is_taken_for_the_working_directory(tmp_path: Path) -> None:
    paths = [
        parameter
        for command in commands()
        for parameter in command.params
        if isinstance(parameter.type, click.Path)
    ]
    assert len(paths) > 10
    for parameter in paths:
        with pytest.raises(click.BadParameter, match="empty"):
            parameter.type.convert("", parameter, None)
    done = run("serve", "--data-dir", "", cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert "The path is empty" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_escapes_get_into_a_pipe(store: StoreDouble) -> None:
    server = ("--server", store.address)
    forced = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "CLICOLOR_FORCE": "1"}
    for words in ("set k 1", "get k --all", "set l 2 -o table"):
        done = run(*words.split(), *server, environ=forced)
        assert done.returncode == ExitCode.OK
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii:strict", "utf-8"])
def test_a_character_that_stdout_does_not_have_is_escaped(
    store: StoreDouble, encoding: str
) -> None:
    key, server = "snow\u2603", ("--server", store.address)
    for words in (("set", key, "\u2603"), ("touch", key, "60"), ("get", key, "--all")):
        done = run(*words, *server, environ={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"})
        assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    # Where it is ASCII, some lines are UTF-8 all the same, which is no matter here.
    assert '"\\u2603"' in done.stdout or encoding == "utf-8"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound(""), 1),
        (errors.NamespaceNotFound(""), 1),
        (errors.InvalidKey(""), 2),
        (errors.RequestError(""), 2),
        (errors.QuorumError(""), 3),
        (errors.ConnectionFailed(""), 3),
        (errors.StorageError(""), 3),
        (errors.ProtocolError(""), 3),
        (errors.QuorumError("", outcome="unknown"), 4),
        (errors.TimeoutExpired("", outcome="unknown"), 4),
        (errors.ConfigError(""), 5),
        (errors.PreconditionFailed(""), 6),
    ],
    ids=repr,
)
def test_exit_codes_are_stable(error: errors.KvorumError, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["get", "k", "-o", "json"], True),
        (["get", "k", "-ojson"], True),
        (["get", "k", "--output", "json"], True),
        (["get", "--output=json", "k"], True),
        (["get", "json"], False),
        (["get", "k", "-o", "table"], False),
        (["set", "k", "--", "-o", "json"], False),
        ([], False),
    ],
)
def test_what_a_command_line_wants_is_seen_even_if_it_is_wrong(
    words: list[str], wanted: bool
) -> None:
    assert wants_json(words) is wanted


@given(st.text())
def test_one_line_is_one_line_that_steers_no_terminal(text: str) -> None:
    assert one_line(text).isprintable()


def test_an_interrupted_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kvorum.cli.entries.commands.get", interrupted)
    result = CliRunner().invoke(main, ["get"])
    assert (result.exit_code, result.stderr) == (ExitCode.INTERRUPTED, "error: interrupted\n")


def test_a_question_about_a_mistyped_option_ends_as_one() -> None:
    ended = CliRunner().invoke(main, ["bench", "--seconds", "5"])
    assert ended.exit_code == ExitCode.USAGE
    assert "?" in ended.stderr
    assert "?." not in ended.stderr

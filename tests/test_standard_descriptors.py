"""A process that was started without stdin, stdout or stderr, or has closed them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kit.http_store import StoreDouble

import kvorum
from kvorum.cli.errors import ExitCode

CLOSINGS = ["<&-", ">&-", "2>&-", "<&- 2>&-", "<&- >&- 2>&-"]


def shell(command: str, *words: object) -> tuple[int, str, str]:
    """(status, stdout, stderr) of a program; `command` is the shell's, with the program as $@."""
    done = subprocess.run(
        ["bash", "-c", command, "sh", sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("closing", CLOSINGS)
def test_the_program_works_or_says_that_it_cannot_be_heard(
    store: StoreDouble, closing: str
) -> None:
    words = ("-m", "kvorum", "set", "k", "1", "--server", store.address)
    status, _, errors = shell(f'"$@" {closing}', *words)
    if ">&-" in closing.replace("2>&-", ""):
        # Nobody would learn what became of it, so nothing is begun.
        assert status == ExitCode.CONFIG
        assert store.values() == {}
        assert errors.splitlines() in ([], [errors.strip()])
    else:
        assert (status, errors) == (0, "")
        assert store.values() == {"k": 1}


@pytest.mark.parametrize("closing", ["<&-", "2>&-", "<&- 2>&-"])
def test_a_value_is_printed(store: StoreDouble, closing: str) -> None:
    shell('"$@"', "-m", "kvorum", "set", "k", "1", "--server", store.address)
    words = ("-m", "kvorum", "get", "k", "--server", store.address)
    assert shell(f'"$@" {closing}', *words) == (0, "1\n", "")


@pytest.mark.parametrize("command", ["set k --file -", "import -"])
def test_a_closed_stdin_is_no_empty_input(store: StoreDouble, command: str) -> None:
    words = ("-m", "kvorum", *command.split(), "--server", store.address)
    status, _, errors = shell('"$@" <&-', *words)
    assert status == ExitCode.USAGE
    assert len(errors.splitlines()) == 1
    assert "Stdin is closed" in errors
    assert store.values() == {}


PROGRAM = """
import os, sys
import kvorum
late = [int(n) for n in sys.argv[3]]
for n in (0, 1, 2):
    try:
        os.fstat(n)
    except OSError:
        assert str(n) in sys.argv[2], n
{body}
"""

CLIENT = """
with kvorum.connect(sys.argv[1]) as store:
    for n in late:
        os.close(n)
    for i in range(3):
        store.set(f"k{i}", i)
    filled = {os.readlink(f"/proc/self/fd/{n}") for n in map(int, sys.argv[2] + sys.argv[3])}
    assert filled == {os.devnull}
"""

ASYNC_CLIENT = """
import asyncio
async def main():
    async with kvorum.aio.connect(sys.argv[1]) as store:
        for n in late:
            os.close(n)
        for i in range(3):
            await store.set(f"k{i}", i)
asyncio.run(main())
"""

EMBEDDED = """
with kvorum.open(sys.argv[1]) as store:
    store.set_many((f"k{i}", i) for i in range(3))
"""


@pytest.mark.parametrize("body", [CLIENT, ASYNC_CLIENT], ids=["client", "async client"])
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("when", ["before", "after connecting"])
def test_a_client_in_a_program_without_them(
    store: StoreDouble, body: str, number: int, when: str
) -> None:
    program = PROGRAM.format(body=body)
    if when == "before":
        closing = ("<&-", ">&-", "2>&-")[number]
        status, *_ = shell(f'"$@" {closing}', "-c", program, store.url, number, "")
    else:
        status, *_ = shell('"$@"', "-c", program, store.url, "", number)
    assert status == 0
    assert store.values() == {f"k{i}": i for i in range(3)}


@pytest.mark.parametrize("closing", CLOSINGS)
def test_what_is_printed_does_not_get_into_the_embedded_store(tmp_path: Path, closing: str) -> None:
    noise = EMBEDDED + "    for n in (1, 2):\n        os.write(n, b'noise' * 100)\n"
    status, *_ = shell(f'"$@" {closing}', "-c", PROGRAM.format(body=noise), tmp_path, "012", "")
    assert status == 0
    with kvorum.open(tmp_path) as embedded:
        assert embedded.get_many(f"k{i}" for i in range(3)) == {f"k{i}": i for i in range(3)}
    assert not any(b"noise" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

"""What a process says of a fault that nobody foresaw: not the data it was about."""

from __future__ import annotations

import subprocess
import sys

import pytest

SECRET = "kiwi-secret"
START = """
import asyncio, logging, sys, threading
from kvorum.cli.servers.logs import configure_logging
from kvorum.model.errors import KvorumError
from kvorum.runtime.faults import tell_faults
from kvorum.runtime.loop import run
configure_logging("text", "info")
tell_faults()
secret = sys.argv[1]

def fail(data):
    try:
        {}[data]
    except KeyError as error:
        raise ValueError(f"no {data}") from error
"""
IN_CALLBACK = """
async def main():
    asyncio.get_running_loop().call_soon(fail, secret)
    await asyncio.sleep(0.01)
run(main())
"""
IN_TASK = """
async def main():
    async def task():
        fail(secret)
    made = asyncio.ensure_future(task())
    await asyncio.sleep(0.01)
run(main())
"""
IN_THREAD = """
thread = threading.Thread(target=fail, args=(secret,))
thread.start()
thread.join()
"""
AT_THE_END = "fail(secret)"


@pytest.mark.parametrize("end", [IN_CALLBACK, IN_TASK, IN_THREAD, AT_THE_END])
def test_it_says_where_and_what_kind_and_not_with_what_data(end: str) -> None:
    said = stderr(START + end)
    assert "ValueError" in said
    assert "KeyError" in said
    assert " in fail" in said
    assert SECRET not in said


def test_the_projects_own_errors_say_why() -> None:
    assert "KvorumError: the disk is full" in stderr(
        START + "raise KvorumError('the disk is full')"
    )


def stderr(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", program, SECRET], capture_output=True, text=True, check=False
    )
    return ended.stderr

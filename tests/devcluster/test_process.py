"""A node's process, and what it says of its end."""

from __future__ import annotations

import asyncio
import sys

import pytest

from kvorum.devcluster.process import NodeProcess

LAST_WORDS = {
    "raise SystemExit(0)": "it was asked to stop by a signal from elsewhere, and stopped in order",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "ended by SIGKILL",
    "raise SystemExit(4)": "ended with status 4 and no reason",
    "import sys; sys.exit('error: the disk is full')": "the disk is full",
}


@pytest.mark.parametrize("program", LAST_WORDS)
def test_it_says_why_a_process_ended(program: str) -> None:
    async def run() -> str:
        process = await NodeProcess.spawn("n1", [sys.executable, "-c", program], _ignore)
        await process.ended()
        return process.last_words

    assert asyncio.run(run()) == LAST_WORDS[program]


def _ignore(_line: str) -> None:
    """Nobody listens."""

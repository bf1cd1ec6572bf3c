"""Coroutines side by side."""

from __future__ import annotations

import asyncio

import pytest

from kvorum.runtime.together import together


def test_all_are_run_to_their_end() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    asyncio.run(together(work(number) for number in range(3)))
    assert sorted(done) == [0, 1, 2]


def test_the_first_error_ends_all_and_is_raised_as_itself() -> None:
    ended: list[str] = []

    async def fails() -> None:
        raise LookupError("this one")

    async def waits() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("waits")

    async def nested() -> None:
        await together([waits(), fails()])

    with pytest.raises(LookupError, match="this one"):
        asyncio.run(together([nested(), waits()]))
    assert ended == ["waits", "waits"]

"""The dialer: each attempt ends in its link, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kit.network import Play, free_addresses, until

from kvorum.net.dialer import Dialer
from kvorum.net.socket_link import SocketLink


class Attempted:
    """Stands in for a link; keeps how its attempt ended."""

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []

    def lost(self, error: Exception | None) -> None:
        self.errors.append(error)


def test_an_attempt_that_is_refused_says_so(play: Play) -> None:
    async def scenario() -> None:
        link: Any = Attempted()
        dialer = Dialer(asyncio.get_running_loop(), free_addresses(1)[0], 5.0)
        for attempt in range(1, 3):
            dialer.dial(link)
            await until(lambda: len(link.errors) == attempt)  # noqa: B023
        assert all(isinstance(error, ConnectionRefusedError) for error in link.errors)
        await dialer.close()

    play(scenario)


def test_an_attempt_that_gets_no_answer_is_given_up(play: Play) -> None:
    class Deaf:
        """An event loop on which connections are never made."""

        create_task = staticmethod(asyncio.create_task)

        @staticmethod
        async def create_connection(_make: Callable[[], SocketLink], *_address: Any) -> None:
            await asyncio.Event().wait()

    async def scenario() -> None:
        deaf: Any = Deaf()
        link: Any = Attempted()
        dialer = Dialer(deaf, free_addresses(1)[0], 0.05)
        dialer.dial(link)
        await until(lambda: link.errors)
        [error] = link.errors
        assert isinstance(error, TimeoutError)
        assert str(error) == "no connection within 0.05 s"
        dialer.dial(link)
        await asyncio.sleep(0)
        await dialer.close()
        assert link.errors == [error, None]

    play(scenario)

"""One call: attempts over the servers until an answer, a final error, or the deadline.

What may be repeated is decided by what is known of the attempt before (`outcome`):

    reading, whatever became of it                     none      repeat
    no byte of the request was sent                    none      repeat
    the server says it changed nothing, try later      none      repeat
    sent, then silence, a broken link or nonsense      unknown   tell the caller

A write with an unknown outcome is never sent twice: the first may still be carried out,
after a later write of someone else. A server that cannot be reached costs no pause while
another has not been asked; every other repeat waits (`backoff`), and a server's Retry-After
is kept. The deadline covers all of it: attempts, pauses, waiting for a free connection.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Final

from kvorum.client import answers
from kvorum.client.answers import Answer
from kvorum.client.backoff import Backoff
from kvorum.client.connection import AnswerTooLarge
from kvorum.client.requests import Request
from kvorum.client.server import Server
from kvorum.client.servers import Route, Servers
from kvorum.model.errors import (
    ConfigError,
    ConnectionFailed,
    KvorumError,
    Outcome,
    ProtocolError,
    TimeoutExpired,
    UnavailableError,
)

SERVER_SHARE: Final = 0.9
"""The part of the remaining time that a server is given, so that its answer arrives in it."""
FIRST_TRY_SHARE: Final = 0.5
"""The part of the remaining time that a read waits for one server while another is untried."""


def may_repeat(error: KvorumError) -> bool:
    if isinstance(error, AnswerTooLarge):
        return False
    return error.outcome == "none" and isinstance(error, UnavailableError | ProtocolError)


class Calls:
    def __init__(self, servers: Servers, backoff: Backoff, rng: random.Random) -> None:
        self._servers = servers
        self._backoff = backoff
        self._rng = rng
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def now(self) -> float:
        """The clock deadlines are told in."""
        return asyncio.get_running_loop().time()

    def pauses(self) -> Iterator[float]:
        """How long to wait before each repeat."""
        return self._backoff.draw(self._rng)

    async def call(self, request: Request, deadline: float) -> Answer:
        """The 2xx answer to `request`. Raises the error of any other."""
        route = self._servers.route(self.now(), request.about)
        pauses = self.pauses()
        failure: KvorumError | None = None
        not_before = self.now()
        while True:
            server, at = route.next(not_before)
            if failure is not None and at >= deadline:
                raise failure
            await self._sleep_until(at)
            self.check_open()
            try:
                return await self._attempt(
                    server, request, self._patience(request, route, deadline)
                )
            except KvorumError as error:
                if not may_repeat(error):
                    raise
                failure = error
            not_before = self.now()
            if (retry_after := _retry_after(failure)) is not None:
                route.leave_alone(server, not_before + retry_after)
            if not (isinstance(failure, ConnectionFailed) and route.has_untried):
                pause = next(pauses, None)
                if pause is None:
                    raise failure
                not_before += pause

    async def close(self) -> None:
        self._closed = True
        await self._servers.close()

    async def _attempt(self, server: Server, request: Request, until: float) -> Answer:
        in_doubt: Outcome = "none"
        asked = False
        try:
            async with asyncio.timeout_at(until):
                connection = await server.pool.acquire()
                try:
                    if self.now() >= until:
                        raise TimeoutError
                    asked = True
                    in_doubt = "none" if request.safe else "unknown"
                    timeout_ms = max(1, int((until - self.now()) * 1000 * SERVER_SHARE))
                    data = request.to_bytes(server.name, timeout_ms)
                    answer = await connection.exchange(data, in_doubt)
                finally:
                    server.pool.release(connection)
        except TimeoutError as error:
            if not asked:
                raise TimeoutExpired(f"no free connection to {server.name} in time") from error
            server.suspect(self.now())
            raise TimeoutExpired(
                f"no answer from {server.name} in time", outcome=in_doubt
            ) from error
        except (ConnectionFailed, ProtocolError):
            server.suspect(self.now())
            raise
        self._servers.heard(server, self.now())
        if not answer.ok:
            raise answers.error(answer)
        return answer

    def _patience(self, request: Request, route: Route, deadline: float) -> float:
        if request.safe and route.has_untried:
            now = self.now()
            return now + (deadline - now) * FIRST_TRY_SHARE
        return deadline

    async def _sleep_until(self, at: float) -> None:
        delay = at - self.now()
        if delay > 0:
            await asyncio.sleep(delay)

    def check_open(self) -> None:
        """Raises ConfigError if the client is closed or another event loop's."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._closed:
            raise ConfigError("this client is closed; connect again")
        if self._loop is not loop:
            raise ConfigError("this client belongs to another event loop; connect once in each")


def _retry_after(error: KvorumError) -> float | None:
    seconds = error.details.get("retry_after")
    return float(seconds) if isinstance(seconds, int | float) else None

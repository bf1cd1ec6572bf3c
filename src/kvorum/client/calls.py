"""One call: attempts over the servers until an answer, a final error, or the deadline.

What may be repeated is decided by what is known of the attempt before (`outcome`):

    reading, whatever became of it                     none      repeat
    no byte of the request was sent                    none      repeat
    the server says it changed nothing, try later      none      repeat
    sent, then silence, a broken link or nonsense      unknown   tell the caller

A write with an unknown outcome is not sent twice: the first may still be carried out, after a
later write of someone else. With `retry_unknown` what became of it is looked up, and it is repeated
where that is safe (`retryable_writes`). A server that gave no answer costs no pause while another
has not been asked; every other repeat waits (`backoff`), and a server's Retry-After is kept.
The deadline covers all of it: attempts, pauses, waiting for a free connection. A read spends
only a part of it on one server while there is another to turn to; and a write, if it is to be
looked up what became of it.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from typing import Final

from kvorum.client import answers, refusals
from kvorum.client.access import Access
from kvorum.client.answers import Answer
from kvorum.client.backoff import Backoff
from kvorum.client.connection import AnswerTooLarge
from kvorum.client.default_quorum import DefaultQuorum
from kvorum.client.failures import Failures
from kvorum.client.handshake import TlsError
from kvorum.client.requests import Request
from kvorum.client.retryable_writes import Unsettled, settle
from kvorum.client.server import Server
from kvorum.client.servers import Route, Servers
from kvorum.client.url import Target
from kvorum.model.errors import (
    ConfigError,
    ConnectionFailed,
    KvorumError,
    Outcome,
    ProtocolError,
    TimeoutExpired,
    Unauthenticated,
    UnavailableError,
)

SERVER_SHARE: Final = 0.9
"""The part of the remaining time that a server is given, so that its answer arrives in it."""
TRY_SHARE: Final = 0.5
"""The part of the remaining time that a read waits for one server while there is another."""
ENTRY_TRY_SHARE: Final = 0.2
"""The same where the other is as likely to answer, and the read is of one entry, so quick."""
ENTRY_TRY_S_MIN: Final = 0.5
"""ENTRY_TRY_SHARE is not less than this, or a busy server would be taken for a silent one."""


def may_repeat(error: KvorumError) -> bool:
    """True if what was asked changed nothing, and may be answered when it is asked again."""
    if isinstance(error, AnswerTooLarge):
        return False
    return error.outcome == "none" and isinstance(error, UnavailableError | ProtocolError)


class Calls:
    """Carries out the calls of one client, in the event loop of the first one."""

    def __init__(self, target: Target) -> None:
        self._access = Access(target.security)
        self._servers = Servers(target.servers, target.connections, self._access)
        self._backoff = Backoff(target.backoff, target.backoff_max, target.retries)
        self._quorum = DefaultQuorum(target.r, target.w, target.quorum)
        self._rng = random.Random()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._pid = 0
        """The process of the first call, whose loop that is."""

    def now(self) -> float:
        """The clock deadlines are told in."""
        return asyncio.get_running_loop().time()

    def pauses(self) -> Iterator[float]:
        """How long to wait before each repeat."""
        return self._backoff.draw(self._rng)

    async def call(
        self, request: Request, deadline: float, *, retry_unknown: bool = False
    ) -> Answer:
        """The 2xx answer to `request`, by `deadline` on this clock. Raises another answer's error,
        or what became of all attempts. With `retry_unknown` it is looked up what became of a write
        of unknown outcome."""
        request = self._quorum.of(request)
        if request.safe or not retry_unknown:
            return await self.carry_out(request, deadline)
        began = self.now()
        try:
            return await self.carry_out(request, deadline, hasty=True)
        except KvorumError as error:
            if error.outcome == "none":
                raise
            return await self.settle(Unsettled(request, error, began), deadline)

    async def settle(self, write: Unsettled, deadline: float) -> Answer:
        """The answer to a repetition of `write`. Raises its error if it cannot be repeated."""
        request = self._quorum.of(write.request)
        return await settle(self, write._replace(request=request), deadline)

    async def carry_out(self, request: Request, deadline: float, *, hasty: bool = False) -> Answer:
        """The same for a request that is complete, whose unknown outcome is told. `hasty`: there is
        to be time left to look up what became of a write."""
        route = self._servers.route(request.about)
        pauses = self.pauses()
        failures = Failures()
        failure: KvorumError | None = None
        not_before = self.now()
        while True:
            server, at = route.next(not_before)
            if failure is not None and at >= deadline:
                raise failures.most_telling()
            await self._sleep_until(at)
            self.check_open()
            shown = self._access.authorization
            until = self._patience(request, route, server, deadline, hasty=hasty)
            try:
                answer = await self._attempt(server, request, until)
            except KvorumError as error:
                failure = error
                failures.met(server, failure)
            else:
                if answer.ok:
                    return answer
                failure = refusals.of_request(answers.error(answer), request)
                failures.said(failure)
                if not answer.leaves:
                    route.answered(server)
                if isinstance(failure, Unauthenticated) and self._access.differs_from(shown):
                    continue  # with what has been put in its place since
            if not may_repeat(failure):
                raise failure
            if isinstance(failure, TlsError) and not route.moves_on_from(server):
                raise failures.most_telling()
            not_before = self.now()
            if (retry_after := _retry_after(failure)) is not None:
                route.leave_alone(server, not_before + retry_after)
            if not route.moves_on_from(server):
                pause = next(pauses, None)
                if pause is None:
                    raise failures.most_telling()
                not_before += pause

    @property
    def is_closed(self) -> bool:
        """True once `close` has been called."""
        return self._closed

    async def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._closed = True
        if self._is_inherited():
            return  # The connections, and the loop they are watched by, are the parent's.
        await self._servers.close()

    def _is_inherited(self) -> bool:
        return self._loop is not None and self._pid != os.getpid()

    async def _attempt(self, server: Server, request: Request, until: float) -> Answer:
        """What `server` answers, whatever that is. Raises an error if it does not."""
        unverified: Outcome = "none"
        try:
            connection = await server.pool.acquire(until)
            try:
                asked_at = self.now()
                if asked_at >= until:
                    raise TimeoutExpired(f"The time was up before {server.name} was asked.")
                unverified = "none" if request.safe else "unknown"
                timeout_ms = max(1, int((until - asked_at) * 1000 * SERVER_SHARE))
                data = server.to_bytes(request, timeout_ms)
                async with asyncio.timeout_at(until):
                    answer = await connection.exchange(data, unverified)
            finally:
                server.pool.release(connection)
        except TimeoutError as error:
            server.suspect(self.now())
            waited = self.now() - asked_at
            raise TimeoutExpired(
                f"{server.name} did not answer within {waited:.3g} s.", outcome=unverified
            ) from error
        except (ConnectionFailed, ProtocolError):
            server.suspect(self.now())
            raise
        self._servers.heard(server, self.now(), closes=answer.leaves)
        return answer

    def _patience(
        self, request: Request, route: Route, server: Server, deadline: float, *, hasty: bool
    ) -> float:
        """Until when to wait for `server`."""
        now = self.now()
        left = deadline - now
        if not request.safe:
            return now + left * TRY_SHARE if hasty else deadline
        if request.about is not None and route.has_better(server):
            return now + max(left * ENTRY_TRY_SHARE, min(left * TRY_SHARE, ENTRY_TRY_S_MIN))
        return now + left * TRY_SHARE if route.has_other(server) else deadline

    async def _sleep_until(self, at: float) -> None:
        delay = at - self.now()
        if delay > 0:
            await asyncio.sleep(delay)

    def check_open(self) -> None:
        """Raises ConfigError if the client is closed, or another event loop's or process's."""
        if self._is_inherited():
            raise made_before_fork()
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop, self._pid = loop, os.getpid()
        if self._closed:
            raise closed()
        if self._loop is not loop:
            raise ConfigError(
                "This client belongs to another event loop. Connect once in each loop."
            )


def closed() -> ConfigError:
    """The error of a call on a client that is closed."""
    return ConfigError("This client is closed. Connect again.")


def made_before_fork() -> ConfigError:
    """The error of a call in a process that was forked since."""
    return ConfigError("This client was made before a fork. Connect again in each process.")


def _retry_after(error: KvorumError) -> float | None:
    seconds = error.details.get("retry_after")
    return float(seconds) if isinstance(seconds, int | float) else None

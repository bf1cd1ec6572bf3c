"""A dialer: connects to one node when asked, and again after failures, ever less often.

The pause doubles with each attempt from `pause_min_s` to `pause_max_s`; each is shortened by
up to a half at random, so that the nodes of a cluster do not all knock at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from kvorum.model.address import Address
from kvorum.net.link import Link
from kvorum.runtime.loop import LoopRuntime
from kvorum.runtime.ports import Cancellable


@dataclass(frozen=True, slots=True)
class DialLimits:
    """How long a node goes on unreached after the way to it is open again is bounded by these:
    by the second attempt of the kernel within `connect_s`, or by the rest of that and a pause.
    """

    connect_s: float = 1.5
    pause_min_s: float = 0.05
    pause_max_s: float = 1.0


class Dialer:
    """An attempt that fails ends in `link_lost` of the link it made."""

    __slots__ = ("_address", "_limits", "_make_link", "_pause_s", "_planned", "_runtime", "_task")

    def __init__(
        self,
        runtime: LoopRuntime,
        address: Address,
        make_link: Callable[[], Link],
        limits: DialLimits,
    ) -> None:
        self._runtime = runtime
        self._address = address
        self._make_link = make_link
        self._limits = limits
        self._pause_s = limits.pause_min_s
        self._planned: Cancellable | None = None
        self._task: asyncio.Task[None] | None = None

    def dial(self) -> None:
        """Connect now, unless an attempt is under way or planned."""
        if self._task is None and self._planned is None:
            self._begin()

    def dial_later(self) -> None:
        """Connect after a pause, unless an attempt is under way or planned."""
        if self._task is None and self._planned is None:
            delay = self._pause_s * self._runtime.rng.uniform(0.5, 1.0)
            self._pause_s = min(2 * self._pause_s, self._limits.pause_max_s)
            self._planned = self._runtime.call_later(delay, self._begin)

    def rest(self) -> None:
        """Give up the planned attempt: a link was made in another way."""
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None

    def forget_failures(self) -> None:
        self._pause_s = self._limits.pause_min_s

    async def close(self) -> None:
        self.rest()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _begin(self) -> None:
        self._planned = None
        self._task = self._runtime.loop.create_task(self._connect())

    async def _connect(self) -> None:
        link = self._make_link()
        limit = self._limits.connect_s
        try:
            async with asyncio.timeout(limit):
                await self._runtime.loop.create_connection(lambda: link, *self._address)
        except TimeoutError:
            self._failed(link, TimeoutError(f"no connection within {limit:g} s"))
        except OSError as error:
            self._failed(link, error)
        except asyncio.CancelledError:
            self._failed(link, None)
            raise
        else:
            self._task = None

    def _failed(self, link: Link, error: Exception | None) -> None:
        self._task = None
        link.connection_lost(error)

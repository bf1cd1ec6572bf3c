"""A server on a thread of its own whose security catalog is a double, for those who ask it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kit.security import FakeSecurity
from kit.waiting import DEADLINE_S
from kit.web import Web


class SecurityServer:
    def __init__(self, security: FakeSecurity | None) -> None:
        self._security = security
        self.server = ""
        """HOST:PORT."""

    @property
    def security(self) -> FakeSecurity:
        assert self._security is not None
        return self._security


@contextmanager
def serving(security: FakeSecurity | None) -> Iterator[SecurityServer]:
    """`security`: None for a cluster that authenticates nobody."""
    served = SecurityServer(security)
    started, ended = threading.Event(), threading.Event()

    async def serve(web: Web) -> None:
        web.security = security
        await web.start()
        host, port = web.address
        served.server = f"{host}:{port}"
        started.set()
        await asyncio.to_thread(ended.wait)
        await web.close()

    def run() -> None:
        with asyncio.Runner() as runner:
            runner.run(serve(Web(runner)))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(DEADLINE_S)
        yield served
    finally:
        ended.set()
        thread.join(DEADLINE_S)

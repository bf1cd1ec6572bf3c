"""Load: writers that go on through whatever happens, and note what they were told.

They run on an event loop in a thread of their own, and each owns its keys. Some it writes
again and again, and reads before each write: as R + W > N, it must find its last one. The
others it writes once, so that later writes do not hide that one was lost.

`await_acknowledged` is how a test waits: for writes that got through, not for time.
"""

from __future__ import annotations

import asyncio
import threading
from itertools import count
from types import TracebackType
from typing import Final, Self

from chaos_ledger import Ledger
from kit.waiting import DEADLINE_S, eventually

from kvorum import aio
from kvorum.model.errors import KvorumError, NotFound, RequestError

_WRITERS: Final = 8
_BUSY_KEYS_EACH: Final = 4


class Load:
    """`url` lists the servers that are asked. A `ledger` given is gone on with."""

    def __init__(self, url: str, ledger: Ledger | None = None, timeout_s: float = 2.0) -> None:
        self.ledger = ledger or Ledger()
        self._url = url
        self._timeout_s = timeout_s
        self._ending = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="chaos-load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending = True
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the writers do not end"
        if error is None:
            self._check()

    def await_acknowledged(self, more: int) -> None:
        """Returns when `more` writes than now are acknowledged."""
        enough = self.ledger.acknowledged + more

        def done() -> bool:
            self._check()
            return self.ledger.acknowledged >= enough

        eventually(done, f"{more} more writes; until now {self.ledger}")

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._write_all())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self._failure = error

    async def _write_all(self) -> None:
        async with aio.connect(self._url) as client, asyncio.TaskGroup() as group:
            for writer in range(_WRITERS):
                group.create_task(self._write(client, writer))

    async def _write(self, client: aio.AsyncClient, writer: int) -> None:
        for turn in count():
            if self._ending:
                return
            busy = f"w{writer}-{turn % _BUSY_KEYS_EACH}"
            await self._check_read(client, busy)
            await self._set(client, busy)
            await self._set(client, f"w{writer}-once-{turn}")

    async def _check_read(self, client: aio.AsyncClient, key: str) -> None:
        try:
            entry = await client.get_entry(key, timeout=self._timeout_s)
        except NotFound:
            entry = None
        except RequestError:
            raise
        except KvorumError:
            return
        vetoes = self.ledger.vetoes(key, entry)
        assert not vetoes, "\n".join(vetoes)

    async def _set(self, client: aio.AsyncClient, key: str) -> None:
        ledger = self.ledger
        number, value = ledger.send(key)
        try:
            entry = await client.set(key, value, timeout=self._timeout_s)
        except RequestError:
            raise
        except KvorumError as error:
            note = ledger.doubt if error.outcome == "unknown" else ledger.refuse
            note(key, number)
        else:
            ledger.acknowledge(key, number, entry)

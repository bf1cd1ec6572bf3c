"""An event loop on a thread of its own, where blocking callers have coroutines run."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from kvorum.client.calls import closed, made_before_fork
from kvorum.model.errors import ConfigError, ConnectionFailed
from kvorum.runtime.loop import new_loop
from kvorum.runtime.standard_descriptors import fill_standard_descriptors

_T = TypeVar("_T")


class LoopThread:
    """A thread with an event loop. It does not survive a fork: each process must start its own."""

    def __init__(self, name: str) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._stopping = False
        self._started = threading.Event()
        fill_standard_descriptors()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()
        self._started.wait()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """What `coroutine` returns or raises. A caller that is interrupted cancels it. Raises
        ConfigError if the thread is stopped, another process's, or the caller's own."""
        if threading.get_ident() == self._thread.ident:
            coroutine.close()
            raise ConfigError(
                "This client is called from its own background thread, which would wait for "
                "itself. Call it from another thread, or use another client."
            )
        future = self._submit(coroutine)
        try:
            return future.result()
        except CancelledError as error:
            raise ConnectionFailed(
                "The client was closed while this call was under way.", outcome="unknown"
            ) from error
        except BaseException:
            future.cancel()
            raise

    def stop_after(self, last: Coroutine[Any, Any, None]) -> Future[None]:
        """Run `last`, then cancel what is left and end the thread; does not wait for any of it.
        Safe in a finalizer, which may run on any thread, this one included."""
        future = self._submit(last)
        with self._lock:
            self._stopping = True
        future.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))
        return future

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _submit(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        try:
            # Before the lock is taken, which a thread of the parent may have held during the fork.
            if self._pid != os.getpid():
                raise made_before_fork()
            with self._lock:
                if self._stopping:
                    raise closed()
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except ConfigError:
            coroutine.close()
            raise

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            self._loop = runner.get_loop()
            self._started.set()
            self._loop.run_forever()

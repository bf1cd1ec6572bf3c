"""The engine's threads, which all engines of a process share, and what a fork makes of them.

They begin with the first engine that is opened, and last as long as the process. A fork copies the
list of them, but none of the threads. In the child, what is handed to them would never be done, and
closing an engine would wait for that for ever: so none may be opened. Nor may the child end as C
programs do, with the destructors of all libraries: the engine's joins the threads of that list,
and their stacks are gone by then. So a child's exit flushes C's own streams, and
leaves out what was registered before the fork, as `os._exit` does.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from kvorum.model.errors import ConfigError

_started_in: int | None = None
"""The process whose threads they are."""
_LIBC: Final = ctypes.CDLL(None)


def note_start() -> None:
    """An engine is about to be opened."""
    global _started_in
    if _started_in is None:
        os.register_at_fork(after_in_child=_exit_without_them)
    _started_in = os.getpid()


def check_not_forked() -> None:
    """Raises ConfigError in a process that was forked from one that has opened an engine."""
    if _started_in not in (None, os.getpid()):
        raise ConfigError(
            f"This process cannot open a store: it was forked from process {_started_in}, which "
            "had opened one. Start it anew instead, for example with the start method 'spawn' or "
            "'forkserver' of multiprocessing."
        )


def _exit_without_them() -> None:
    # The exit handler registered last is called first. Only glibc has one that gets the status;
    # elsewhere joining a thread that is gone is an error, not a crash.
    if hasattr(_LIBC, "on_exit"):
        _LIBC.on_exit(_LIBC._exit, None)  # noqa: SLF001  That is its name.
        _LIBC.on_exit(_LIBC.fcloseall, None)

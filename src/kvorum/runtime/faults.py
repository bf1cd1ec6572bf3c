"""Faults of the program (bugs) as they are logged: where and of what kind, but not with what data.

The text of an exception that nobody foresaw may quote anything: `KeyError` does nothing else,
and the loop adds the arguments of the callback that failed. Logs are kept longer, and read by
more people, than data; so of such exceptions only the kind and the places are shown. The
project's own errors are written to be shown.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

from kvorum.model.errors import KvorumError

_LOG: Final = logging.getLogger(__name__)


def told(error: BaseException) -> str:
    """`error` and its causes, the first cause first, as text for a log."""
    return "\nthen:\n".join(_one(each) for each in reversed(list(_chain(error))))


def kind(error: BaseException) -> str:
    """`error` in one line: its type, and its message if it is one of the project's own errors."""
    name = type(error).__name__
    return f"{name}: {error.message}" if isinstance(error, KvorumError) else name


def on_loop_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what an event loop tells: its exception handler."""
    what = str(context.get("message", "a fault")).partition("(")[0].partition("<")[0].strip()
    error = context.get("exception")
    _LOG.error("%s%s", what, "" if error is None else f"\n{told(error)}")


def tell_faults() -> None:
    """From now on print the exceptions that end this process, or a thread of it, like that."""
    sys.excepthook = _on_end
    threading.excepthook = _on_thread_end


def _on_end(
    _kind: type[BaseException], error: BaseException, _traceback: TracebackType | None
) -> None:
    print(told(error), file=sys.stderr)


def _on_thread_end(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None:
        print(told(ended.exc_value), file=sys.stderr)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _one(error: BaseException) -> str:
    places = traceback.extract_tb(error.__traceback__)
    lines = [f"  {place.filename}:{place.lineno} in {place.name}" for place in places]
    return "\n".join([*lines, kind(error)])

"""Answering a group of writes: each `done` in its turn, whatever the others do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kvorum.model.errors import StorageError
from kvorum.runtime.ports import Runtime
from kvorum.storage.store import Done


def answer(
    runtime: Runtime, waiting: Iterator[tuple[Done, Any]], error: StorageError | None
) -> None:
    """Call each `done(arg, error)`. One that raises must not cost the others their answer."""
    try:
        for done, arg in waiting:
            done(arg, error)
    finally:
        rest = list(waiting)
        if rest:
            runtime.call_soon(answer, runtime, iter(rest), error)

"""Resources: what a node uses of its machine, as a document."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Final

import msgspec

from kvorum.documents.resources import Disk, Engine, Journal, Resources
from kvorum.journal.storage_numbers import StorageNumbers
from kvorum.runtime.descriptors import descriptor_limit
from kvorum.runtime.durations import Durations

_OPEN_FILES: Final = "/proc/self/fd"
_MS: Final = 1000


def resources(protocol: str, storage: Callable[[], StorageNumbers]) -> Resources:
    """What this process uses, as of now. `protocol`: the versions that it speaks with nodes."""
    numbers = storage()
    return Resources(
        python=platform.python_version(),
        protocol=protocol,
        open_files=_open_files(),
        open_files_max=descriptor_limit(),
        disk=Disk(
            free_bytes=numbers.free_bytes, total_bytes=numbers.total_bytes, full=numbers.full
        ),
        journal=Journal(
            unflushed=numbers.unflushed.records,
            unflushed_bytes=numbers.unflushed.memory_bytes,
            log_bytes=numbers.unflushed.log_bytes,
            lag_s=round(numbers.unflushed.lag_s, 3),
            syncs=numbers.syncs.count,
            sync_p50_ms=_ms(numbers.syncs, 0.5),
            sync_p99_ms=_ms(numbers.syncs, 0.99),
        ),
        engine=msgspec.convert(numbers.engine, Engine, strict=False),
    )


def _open_files() -> int | None:
    """How many files this process has open; None where the system does not tell."""
    try:
        return len(os.listdir(_OPEN_FILES))
    except OSError:
        return None


def _ms(durations: Durations, q: float) -> float | None:
    seconds = durations.quantile(q)
    return None if seconds is None else round(seconds * _MS, 3)

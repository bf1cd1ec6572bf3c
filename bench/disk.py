"""The disk under the data: stores that sync every write are as fast as it syncs."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Final

from kvorum.model.errors import ConfigError

_SYNCS: Final = 200
_BLOCK: Final = b"\0" * 4096
_IN_MEMORY: Final = {"tmpfs", "ramfs"}
_MOUNTS: Final = Path("/proc/mounts")


def check(directory: Path) -> None:
    """Raises ConfigError if `directory` is in memory, where a sync costs nothing."""
    kind = _filesystem(directory)
    if kind in _IN_MEMORY:
        raise ConfigError(
            f"{directory} is in memory ({kind}), where a sync costs nothing. "
            "Choose a directory on a disk with --work-dir."
        )


def sync_ms(directory: Path) -> float:
    """The median time of appending 4 KiB and syncing them."""
    probe = directory / "probe"
    times = []
    with probe.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            since = time.perf_counter()
            file.write(_BLOCK)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - since)
    probe.unlink()
    return statistics.median(times) * 1000


def _filesystem(directory: Path) -> str | None:
    """The kind of filesystem `directory` is on; None where the system does not tell."""
    if not _MOUNTS.exists():
        return None
    resolved = directory.resolve()
    kinds = {Path(line.split()[1]): line.split()[2] for line in _MOUNTS.read_text().splitlines()}
    return next((kinds[at] for at in (resolved, *resolved.parents) if at in kinds), None)

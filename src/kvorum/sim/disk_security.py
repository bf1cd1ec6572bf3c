"""The security catalog on a simulated disk, beside the records."""

from __future__ import annotations

import random
from collections.abc import Callable

from kvorum.model.errors import StorageError
from kvorum.model.security_catalog import SecurityCatalog
from kvorum.sim.disk import Disk
from kvorum.sim.scheduler import NodeRuntime


class DiskSecurity:
    """Keeps the security catalog on a simulated disk, which takes its time. A crash before that
    leaves the former one.
    """

    def __init__(self, disk: Disk, runtime: NodeRuntime, rng: random.Random) -> None:
        self.catalog = disk.security
        self.failed: StorageError | None = None
        self._disk = disk
        self._runtime = runtime
        self._rng = rng

    def write(
        self, catalog: SecurityCatalog, written: Callable[[StorageError | None], object]
    ) -> None:
        delay_s = self._rng.expovariate(1 / self._disk.sync_s_mean)
        self._runtime.call_later(delay_s, self._end, catalog, written)

    def _end(
        self, catalog: SecurityCatalog, written: Callable[[StorageError | None], object]
    ) -> None:
        if self.failed is None:
            self._disk.security = catalog
        written(self.failed)

    def fail(self) -> None:
        """Nothing becomes durable any more."""
        self.failed = StorageError("The disk has failed.")

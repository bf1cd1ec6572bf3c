"""The file of a simulated disk that holds a node's security catalog.

A write replaces the whole file. It is durable after a random time, and the node hears of it later;
a crash before leaves the old one.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from kvorum.model.errors import StorageError
from kvorum.model.security_catalog import SecurityCatalog
from kvorum.sim.disk import Disk
from kvorum.sim.scheduler import NodeRuntime


class SecurityDisk:
    """The KeptSecurity of one node life, on its disk."""

    def __init__(self, disk: Disk, runtime: NodeRuntime, rng: random.Random) -> None:
        self.catalog = disk.security
        self._disk = disk
        self._runtime = runtime
        self._rng = rng
        self._failed = False

    def write(
        self, catalog: SecurityCatalog, written: Callable[[StorageError | None], object]
    ) -> None:
        self._runtime.call_later(self._delay_s(), self._replace, catalog, written)

    def fail(self) -> None:
        """From now on nothing becomes durable any more."""
        self._failed = True

    def _replace(
        self, catalog: SecurityCatalog, written: Callable[[StorageError | None], object]
    ) -> None:
        if self._failed:
            written(StorageError("The file cannot be synced: input/output error."))
            return
        self._disk.security = catalog
        self._runtime.call_later(self._delay_s(), written, None)

    def _delay_s(self) -> float:
        return self._rng.expovariate(1 / self._disk.sync_s_mean)

"""What a node does in the background, each as a coroutine that never ends by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kvorum.cluster.clock_notices import ClockNotices, apart
from kvorum.cluster.clocks import Clocks
from kvorum.model.errors import StorageError
from kvorum.model.topology import Topology
from kvorum.sealing.vault import Vault

_LOG: Final = logging.getLogger(__name__)
_TRAINING_EVERY_S: Final = 1.0
_CLOCKS_EVERY_S: Final = 1.0


async def train_dictionaries(vault: Vault, now: Callable[[], float]) -> None:
    """Train compression dictionaries when that is due. Without them, records are longer."""
    while True:
        await asyncio.sleep(_TRAINING_EVERY_S)
        job = vault.training_job(now())
        if job is None:
            continue
        dictionary = await asyncio.to_thread(job.run)
        try:
            vault.trained(job, dictionary, now())
        except StorageError as error:
            _LOG.warning("a dictionary of %s is not used: %s", job.namespace, error)


async def watch_clocks(clocks: Clocks, topology: Topology, now: Callable[[], float]) -> None:
    """Warn of clocks that are apart, for as long as the node runs."""
    notices, nodes = ClockNotices(), topology.node
    while True:
        await asyncio.sleep(_CLOCKS_EVERY_S)
        differing = {nodes(n).name: by for n, by in apart(clocks.ahead_ms()).items()}
        for line in notices.lines(differing, clocks.state, now()):
            _LOG.warning("%s", line)

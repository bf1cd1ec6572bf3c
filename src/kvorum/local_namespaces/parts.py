"""The parts of a local store that know of namespaces."""

from __future__ import annotations

from typing import NamedTuple

from kvorum.journal.journaled_store import JournaledStore
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.row_cache import RowCache
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.sealing.vault import Vault
from kvorum.storage.log_files import LogFiles
from kvorum.storage.rocks import RocksStore
from kvorum.storage.routed import RoutedStore
from kvorum.storage.volatile import VolatileStore


class Parts(NamedTuple):
    """What has to follow when a namespace is created, altered or dropped."""

    rocks: RocksStore
    log: LogFiles
    journaled: JournaledStore
    routed: RoutedStore
    volatile: dict[str, VolatileStore]
    rows: RowCache
    vault: Vault
    shred_horizon: ShredHorizon
    quarantine: Quarantine
    partition_bits: int

"""Storage numbers: what a journal and the store below it hold and have to do, for metrics."""

from __future__ import annotations

from typing import NamedTuple, Self

from kvorum.journal.journaled_store import JournaledStore
from kvorum.journal.segment import Unflushed
from kvorum.runtime.durations import Durations
from kvorum.storage.log_files import LogFiles
from kvorum.storage.rocks import RocksStore
from kvorum.storage.space import Space


class StorageNumbers(NamedTuple):
    """What is stored and waits to be, as of now. `syncs`: of the journal. `engine`: see
    `Pressure.numbers`. `full`: new data is refused, as the disk has too little room.
    """

    unflushed: Unflushed
    syncs: Durations
    engine: dict[str, int]
    free_bytes: int
    total_bytes: int
    full: bool

    @classmethod
    def of(cls, journal: JournaledStore, log: LogFiles, rocks: RocksStore, space: Space) -> Self:
        """The numbers of these, `log` being the journal's."""
        engine = rocks.pressure.numbers()
        return cls(journal.unflushed(), log.syncs, engine, space.free, space.total, space.full)

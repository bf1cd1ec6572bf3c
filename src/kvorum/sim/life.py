"""A node from one start to the next crash or stop, on its simulated disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kvorum.journal.journaled_store import JournaledStore
from kvorum.model.keys import split_storage_key
from kvorum.model.record import is_tombstone
from kvorum.replica.trees import END, START
from kvorum.replication.replicator import Replicator
from kvorum.sim.disk import DiskStore
from kvorum.sim.disk_log import DiskLog
from kvorum.sim.scheduler import NodeRuntime
from kvorum.sim.security_disk import SecurityDisk
from kvorum.sim.stacks import Stack
from kvorum.storage.routed import RoutedStore
from kvorum.storage.volatile import VolatileStore

_ALL: Final = 1 << 30


@dataclass(eq=False)
class Life:
    """`actor`: under which it writes. `routed` is the store it runs on: namespaces that are kept in
    memory (`volatile`), and the `journal`, of which `log` and `store` are what that has on the
    disk; `stack` is what lies between.
    """

    replicator: Replicator
    actor: int
    runtime: NodeRuntime
    routed: RoutedStore
    volatile: dict[str, VolatileStore]
    journal: JournaledStore
    log: DiskLog
    store: DiskStore
    stack: Stack
    security: SecurityDisk

    @property
    def failed(self) -> bool:
        return self.journal.failed is not None

    def fail_disk(self) -> None:
        self.log.fail()
        self.store.fail()
        self.security.fail()

    def crash(self) -> int:
        """Leave on disk what a crash leaves; returns how many writes were lost."""
        return self.log.crash() + self.store.crash()

    def stop(self) -> None:
        self.replicator.stop()
        self.stack.stop()
        self.journal.close()
        self.log.close()
        self.store.close(self.replicator.counter)

    # For whoever looks inside

    def held(self, key: bytes) -> bytes | None:
        """What is there that is sound."""
        kept = self.journal.is_unflushed(key) or self.routed.is_volatile(key)
        return self.routed.get(key) if kept else self.stack.held(key)

    def counted(self) -> dict[str, tuple[int, int]]:
        """By namespace how many entries and bytes the node counts."""
        counts = self.replicator.entry_counts()
        kept = {name: store.counts for name, store in self.volatile.items()}
        return {name: each.total for name, each in {**counts, **kept}.items()}

    def scanned(self) -> dict[str, tuple[int, int]]:
        """By namespace how many entries and bytes are there."""
        found = dict.fromkeys(self.counted(), (0, 0))
        for key, data in self.routed.scan(START, END, _ALL):
            if not is_tombstone(key, data):
                namespace, _ = split_storage_key(key)
                entries, size = found[namespace]
                found[namespace] = entries + 1, size + len(data)
        return found

    def is_damaged(self, key: bytes) -> bool:
        return self.stack.is_damaged(key) and not self.journal.is_unflushed(key)

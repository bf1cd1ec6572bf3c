"""A node's data directory, filled through an embedded store, and snapshots of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import kvorum
from kvorum.backup.creation import Node, create
from kvorum.backup.manifest import Content, Origin
from kvorum.backup.progress import Progress
from kvorum.embedded.embedded import Embedded
from kvorum.model.errors import StorageError
from kvorum.sealing.master_key import MasterKey

CREATED_MS: Final = 1_700_000_000_000


class BackedUp:
    """An open store, as what a snapshot is made of."""

    def __init__(self, path: Path, store: Embedded) -> None:
        self.path = path
        self.store = store
        origin = Origin("local", "n1", store._engine.store.directory.node_id, 1, "")
        self.node = Node(path, lambda: origin, self.checkpoint, lambda: self.master)

    @property
    def master(self) -> MasterKey:
        return self.store._engine.store.vault.keyring.master

    def checkpoint(self, path: Path) -> None:
        """As `journal/checkpoint.py` does it where there are threads."""
        self._empty_journal()
        self.store._engine.store.rocks.checkpoint(path)

    def _empty_journal(self) -> None:
        emptied: list[StorageError | None] = []
        self.store._engine.store._journaled.empty(lambda _arg, error: emptied.append(error), None)
        while not emptied:
            self.store._engine.runtime.turn()
        assert emptied == [None]

    def place(self, key: str) -> bytes:
        return self.store._engine._replicator._view.place("default", key).key

    def record(self, key: str) -> bytes:
        """What is stored of `key`, in plain."""
        return self.store._engine.store.store.get(self.place(key)) or b""

    def damage(self, key: str) -> bytes:
        """Make what is stored of `key` unreadable, with nobody knowing of it yet; its place."""
        parts, place = self.store._engine.store, self.place(key)
        self._empty_journal()
        parts._rows.clear()
        parts.rocks.write(parts.vault.seal.stored_key(place), b"no record")
        self.store._engine.runtime.turn()
        return place

    def create(self, name: str, progress: Progress | None = None) -> Content:
        return create(self.node, name, CREATED_MS, progress or Progress())

    def snapshot(self, name: str) -> Path:
        return self.path / "snapshots" / name


@contextmanager
def backed_up(path: Path) -> Iterator[BackedUp]:
    with kvorum.open(path) as store:
        yield BackedUp(path, store)


def _ignore(_arg: object, _error: StorageError | None) -> None:
    """The store works on."""

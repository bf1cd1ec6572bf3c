"""Removals: what follows when a namespace was dropped, until nothing of it is left.

    commit ──> keys destroyed ──> horizon noted ──> [records deleted] ──> removal over
    (catalog)     (keys.json)     (in the store)   (by a scrubber pass)      (catalog)

Records are deleted only if the namespace was not encrypted; else nobody can read them without the
keys, and a removal takes as long as two writes. Every step can be repeated, and is, after a crash.

While a removal is not over, no namespace of that name can be created: it would show the old one's
records.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kvorum.local_namespaces.local_catalog import LocalCatalog
from kvorum.local_namespaces.parts import Parts
from kvorum.model.errors import StorageError
from kvorum.runtime.ports import Runtime
from kvorum.sealing.removal import delete_removed
from kvorum.storage.catalog_file import Removal

Settled = Callable[[StorageError | None], object]

_LOG: Final = logging.getLogger(__name__)
_PAGE: Final = 256


@dataclass(eq=False)
class Removals:
    """The removals of one local store."""

    _parts: Parts
    _catalog: LocalCatalog
    _runtime: Runtime
    _waiting: dict[str, list[Settled]] = field(default_factory=dict, init=False)
    _failed: StorageError | None = field(default=None, init=False)

    def settled(self, name: str, then: Settled) -> None:
        """Call `then(error)` once nobody can read the entries of the dropped namespace any more."""
        if name in self._catalog.removals and name in self._waiting:
            self._waiting[name].append(then)
        else:
            self._runtime.call_soon(then, self._failed)

    def fail(self, error: StorageError) -> None:
        """The node must stop. Those that wait are told why."""
        self._failed = error
        waiting, self._waiting = self._waiting, {}
        for then in (then for each in waiting.values() for then in each):
            self._runtime.call_soon(then, error)

    def begin(self, name: str, removal: Removal) -> None:
        """Destroy the keys of a dropped namespace; hide what has none. Raises StorageError."""
        parts = self._parts
        self._waiting.setdefault(name, [])
        if removal.lies_open:
            parts.vault.remove(name, removal.before_ms)
        parts.vault.drop(name)
        parts.shred_horizon.end(name, removal.before_ms, self._noted, (name, removal))

    def end(self, name: str, before_ms: int) -> StorageError | None:
        """Forget the removal: no record is left. Returns why the catalog cannot be written."""
        removal = self._catalog.removals.get(name)
        if removal is None or removal.before_ms != before_ms:
            return None  # It was over, or another one of that name has been dropped since.
        self._parts.vault.removed(name)
        left = {other: one for other, one in self._catalog.removals.items() if other != name}
        try:
            self._catalog.write(msgspec.structs.replace(self._catalog.stored, removals=left))
        except StorageError as error:
            return error
        _LOG.info("nothing is left of the dropped namespace %s", name)
        return None

    def delete_now(self, names: Sequence[str], done: Settled) -> None:
        """Delete what is left of these namespaces; `done(error)`. Blocks and needs disk space."""
        self._parts.journaled.empty(self._emptied, (names, done))

    def _noted(self, which: tuple[str, Removal], error: StorageError | None) -> None:
        name, removal = which
        if error is None and not removal.lies_open:
            error = self.end(name, removal.before_ms)
        for then in self._waiting.pop(name, []):
            then(error)

    def _emptied(self, work: tuple[Sequence[str], Settled], error: StorageError | None) -> None:
        names, done = work
        parts = self._parts
        if error is not None:
            done(error)
            return
        try:
            delete_removed(parts.rocks, parts.vault.seal, parts.quarantine.release)
        except StorageError as failure:
            done(failure)
        else:
            parts.rocks.sync(self._deleted, (names, done))

    def _deleted(self, work: tuple[Sequence[str], Settled], error: StorageError | None) -> None:
        names, done = work
        for name in names:
            if error is None and name in self._catalog.removals:
                error = self.end(name, self._catalog.removals[name].before_ms)
        done(error)

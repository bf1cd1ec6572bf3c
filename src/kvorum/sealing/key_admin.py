"""KeyAdmin: the administrative operations on a node's data keys and stored records.

    rotate   seal new records with a new data key at once; the scrubber reseals the others, and
             retires the old key once no record uses it
    shred    destroy a namespace's keys, so that its records are unreadable wherever copies are
    scrub    check all stored records now

If a change of the keyring fails, it is unknown which keys the next start finds: the node stops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from kvorum.documents.data_keys import DataKeys, RotatedKeys, ShreddedNamespace
from kvorum.documents.storage import Soundness, Volume
from kvorum.model.catalog import no_such_namespace, passed_moment
from kvorum.model.errors import RequestError, StorageError
from kvorum.runtime.ports import Runtime
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.scrub import Scrub
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.sealing.vault import Vault


@dataclass(eq=False)
class KeyAdmin:
    """The operations, and what they answer as JSON documents.

    `_forget(namespace)` drops its records from memory. `_on_shredded()` is told that counted
    records have vanished, `_on_failed(error)` that the node must stop.
    """

    _vault: Vault
    _forget: Callable[[str], object]
    _scrub: Scrub
    _quarantine: Quarantine
    _shred_horizon: ShredHorizon
    _runtime: Runtime
    _on_shredded: Callable[[], object]
    _on_failed: Callable[[StorageError], object]

    def rotate(self, namespace: str | None) -> RotatedKeys:
        """Seal with a new data key from now on, in all encrypted namespaces if none is named.

        Returns the keys, and `rotated`: the new key's id by namespace. Raises NamespaceNotFound,
        RequestError or StorageError.
        """
        names = (
            self._vault.encrypted if namespace is None else [self._encrypted(namespace, "replace")]
        )
        now_ms = self._runtime.wall_ms()
        made = self._changed(lambda: {name: self._vault.rotate(name, now_ms) for name in names})
        self._scrub.begin()
        return RotatedKeys(**msgspec.structs.asdict(self.keys()), rotated=made)

    def shred(self, namespace: str, before_ms: int | None) -> ShreddedNamespace:
        """Destroy the keys of `namespace`. Records written up to `before_ms` (None: now) are
        refused from then on, also if a peer that has not shredded yet offers them.

        Raises NamespaceNotFound, RequestError or StorageError.
        """
        self._encrypted(namespace, "destroy")
        now_ms = self._runtime.wall_ms()
        before_ms = passed_moment(before_ms, now_ms)
        self._shred_horizon.end(namespace, before_ms)
        self._changed(lambda: self._vault.shred(namespace, now_ms))
        self._forget(namespace)
        self._on_shredded()
        self._scrub.begin()
        return ShreddedNamespace(namespace=namespace, before_ms=before_ms)

    def scrub(self) -> Soundness:
        """Begin a pass of the scrubber now; returns `status()`."""
        self._scrub.begin()
        return self.status()

    def keys(self) -> DataKeys:
        """The data keys and the state of the scrubber. `records` of a key is how many it had sealed
        as of the last complete pass; None before the first one.
        """
        scrub = self._scrub.status()
        whole = scrub.whole
        counted = None if whole is None else whole.by_key
        total = sum(counted.values()) if counted else 0
        keys = []
        for key in self._vault.keyring.describe():
            records = None if counted is None else counted.get(key.id, 0)
            share = records / total if records is not None and total else None
            keys.append(msgspec.structs.replace(key, records=records, share=share))
        return DataKeys(
            now_ms=self._runtime.wall_ms(),
            master_key=self._vault.keyring.master.id,
            keys=keys,
            scrub=scrub,
        )

    def status(self) -> Soundness:
        """The state of the scrubber and the quarantine, and bytes by namespace."""
        return Soundness(
            scrub=self._scrub.status(),
            quarantine=self._quarantine.status(),
            volumes=self._volumes(),
        )

    def _volumes(self) -> dict[str, Volume]:
        """Bytes of each namespace before and after sealing: of all its records as of the last
        complete pass; before the first one, of those written since the start.
        """
        whole = self._scrub.status().whole
        counts: dict[str, Volume] = {}
        for name, part in self._vault.seal.namespaces.items():
            known = None if whole is None else whole.volumes.get(name.decode())
            bytes_of, counted = (part, "since start") if known is None else (known, "all")
            counts[name.decode()] = Volume(
                logical_bytes=bytes_of.logical_bytes,
                stored_bytes=bytes_of.stored_bytes,
                counted=counted,
            )
        return counts

    def _encrypted(self, namespace: str, action: str) -> str:
        """`namespace`. Raises NamespaceNotFound, or RequestError if it has no keys to `action`."""
        settings = self._vault.namespaces.get(namespace)
        if settings is None:
            raise no_such_namespace(namespace, self._vault.namespaces)
        if namespace not in self._vault.encrypted:
            in_memory = settings.durability == "none"
            reason = "kept in memory alone" if in_memory else "not encrypted"
            raise RequestError(
                f"Namespace {namespace!r} is {reason}, so it has no keys to {action}.",
                advice="To be rid of what it holds, drop the namespace.",
            )
        return namespace

    def _changed(self, change: Callable[[], Any]) -> Any:
        try:
            return change()
        except StorageError as error:
            self._on_failed(error)
            raise

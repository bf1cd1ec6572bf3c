"""KeyAdmin: what people may ask about a node's keys and stored records, and have done to them.

    rotate   new records get a new data key at once; the scrubber seals the others again, and
             the old key goes when nothing needs it
    shred    a namespace's keys are destroyed, and with them, wherever a copy may be, all that
             they have sealed
    scrub    look through all that is stored now

A change of the keyring that fails leaves open which keys the next start finds: the node stops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from kvorum.documents.data_keys import DataKey, DataKeys, RotatedKeys, ShreddedNamespace
from kvorum.documents.storage import Soundness, Volume
from kvorum.model.catalog import no_such_namespace
from kvorum.model.errors import RequestError, StorageError
from kvorum.runtime.ports import Runtime
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.scrub import Scrub
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.sealing.vault import Vault

_CLOCKS_APART_MS: Final = 60_000


class KeyAdmin:
    __slots__ = (
        "_forget",
        "_on_failed",
        "_on_shredded",
        "_quarantine",
        "_runtime",
        "_scrub",
        "_shred_horizon",
        "_vault",
    )

    def __init__(
        self,
        vault: Vault,
        forget: Callable[[str], object],
        scrub: Scrub,
        quarantine: Quarantine,
        shred_horizon: ShredHorizon,
        runtime: Runtime,
        on_shredded: Callable[[], object],
        on_failed: Callable[[StorageError], object],
    ) -> None:
        """`forget(namespace)`: nothing in memory is to be seen of it any more. `on_shredded()`:
        records have vanished that were counted.
        """
        self._vault = vault
        self._forget = forget
        self._scrub = scrub
        self._quarantine = quarantine
        self._shred_horizon = shred_horizon
        self._runtime = runtime
        self._on_shredded = on_shredded
        self._on_failed = on_failed

    def rotate(self, namespace: str | None) -> RotatedKeys:
        """Seal with a new data key from now on; in all encrypted namespaces if none is named."""
        wanted = (
            self._vault.encrypted if namespace is None else [self._encrypted(namespace, "replace")]
        )
        now_ms = self._runtime.wall_ms()
        made = self._changed(lambda: {name: self._vault.rotate(name, now_ms) for name in wanted})
        self._scrub.begin()
        return RotatedKeys(**msgspec.structs.asdict(self.keys()), rotated=made)

    def shred(self, namespace: str, before_ms: int | None) -> ShreddedNamespace:
        """Destroy the keys of `namespace`. What was written up to `before_ms` is gone for good,
        also if a peer that has not been told yet offers it again.
        """
        self._encrypted(namespace, "destroy")
        now_ms = self._runtime.wall_ms()
        before_ms = now_ms if before_ms is None else before_ms
        if not 0 < before_ms <= now_ms + _CLOCKS_APART_MS:
            raise RequestError(
                f"wanted a moment that has passed, {now_ms} ms or before, got {before_ms}; "
                "set the clocks of the nodes"
            )
        self._shred_horizon.end(namespace, before_ms)
        self._changed(lambda: self._vault.shred(namespace, now_ms))
        self._forget(namespace)
        self._on_shredded()
        self._scrub.begin()
        return ShreddedNamespace(namespace=namespace, before_ms=before_ms)

    def scrub(self) -> Soundness:
        """Begin a pass now."""
        self._scrub.begin()
        return self.status()

    def keys(self) -> DataKeys:
        """`records`: how many each key has sealed, as of the last whole pass; None before it."""
        scrub = self._scrub.status()
        whole = scrub.whole
        counted = None if whole is None else whole.by_key
        total = sum(counted.values()) if counted else 0
        keys = []
        for key in self._vault.keyring.describe():
            records = None if counted is None else counted.get(key.id, 0)
            share = records / total if records is not None and total else None
            keys.append(DataKey(**msgspec.structs.asdict(key), records=records, share=share))
        return DataKeys(
            now_ms=self._runtime.wall_ms(),
            master_key=self._vault.keyring.master_key_id,
            keys=keys,
            scrub=scrub,
        )

    def status(self) -> Soundness:
        """How sound the stored records are."""
        return Soundness(
            scrub=self._scrub.status(),
            quarantine=self._quarantine.status(),
            volumes=self._volumes(),
        )

    def _volumes(self) -> dict[str, Volume]:
        """Bytes of each namespace before and after sealing: of all its records as of the last
        whole pass; before there was one, of what has been written since start.
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
        """Raises NamespaceNotFound, or RequestError if there are no keys of it; `action`: what was
        to be done to them.
        """
        settings = self._vault.namespaces.get(namespace)
        if settings is None:
            raise no_such_namespace(namespace, self._vault.namespaces)
        if namespace not in self._vault.encrypted:
            in_memory = settings.durability == "none"
            reason = "kept in memory alone" if in_memory else "not encrypted"
            raise RequestError(
                f"Namespace {namespace!r} is {reason}, so it has no keys to {action}.",
                advice=f"To be rid of what it holds, drop it: 'kvorum namespace drop {namespace}'.",
            )
        return namespace

    def _changed(self, change: Callable[[], Any]) -> Any:
        try:
            return change()
        except StorageError as error:
            self._on_failed(error)
            raise

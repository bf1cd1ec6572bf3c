"""Vaults over stores in memory, for tests, with encrypted namespaces and an unencrypted one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.record import Event, Record, Version, encode
from kvorum.model.topology import NamespaceSettings
from kvorum.runtime.inline import InlineRuntime
from kvorum.sealing.resealing import Resealing
from kvorum.sealing.row_cache import RowCache
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.vault import Vault
from kvorum.storage.memory import MemoryStore
from kvorum.storage.store import FlushTarget, ReadableStore

NOW_MS: Final = 1_795_000_000_000

_DEFAULT: Final = {"replicas": 1, "read": 1, "write": 1}
NAMESPACES: Final = {
    "default": NamespaceSettings(**_DEFAULT),  # type: ignore[arg-type]
    "plain": NamespaceSettings(**_DEFAULT, compression="off"),  # type: ignore[arg-type]
    "open": NamespaceSettings(**_DEFAULT, encryption="off"),  # type: ignore[arg-type]
}


class CompactingMemory(MemoryStore):
    __slots__ = ("compactions",)

    def __init__(self, runtime: InlineRuntime) -> None:
        super().__init__(runtime)
        self.compactions = 0

    def compact(self) -> None:
        self.compactions += 1


def vault_of(
    directory: Path, store: ReadableStore, namespaces: dict[str, NamespaceSettings] = NAMESPACES
) -> Vault:
    return Vault.open(directory, store, "test", namespaces, None, NOW_MS)


def resealed(store: CompactingMemory, vault: Vault, runtime: InlineRuntime) -> Resealing:
    ended: list[StorageError | None] = []
    resealing = Resealing(store, vault, lambda done: done(None), ended.append)
    resealing.start()
    while not ended:
        runtime.turn()
    assert ended == [None]
    return resealing


def not_damaged(stored_key: bytes, error: CorruptRecord) -> None:
    raise AssertionError(f"{stored_key!r} does not open: {error}")


def rows(size_bytes: int = 1 << 20) -> RowCache:
    return RowCache(size_bytes, dict.fromkeys(NAMESPACES, "lru"))


class Damages:
    """What a sealed store has reported."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def __call__(self, stored_key: bytes, _error: CorruptRecord) -> None:
        self.keys.append(stored_key)


def sealed_store(directory: Path, inner: FlushTarget) -> tuple[SealedStore, Damages]:
    damages = Damages()
    return SealedStore(inner, vault_of(directory, inner).seal, damages, rows()), damages


def record_key(token: int, namespace: str, name: bytes) -> bytes:
    return b"d" + token.to_bytes(8) + namespace.encode() + b"\0" + name


def note_key(node: str, record: bytes) -> bytes:
    return b"h" + node.encode() + b"\0" + record


def record_of(key: bytes, value: bytes, counter: int = 1) -> bytes:
    dot = Event(7, counter, NOW_MS)
    return encode(key, Record((dot,), (Version(dot, 1, value),)))

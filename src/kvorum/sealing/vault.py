"""The vault: the keys, dictionaries and settings with which a data directory seals its records.

    DIR/keys.json          the keyring: data keys, wrapped by the master key
    DIR/dictionaries/      compression dictionaries, sealed with the data keys
    b"f" in the store      the note of the format of the stored pairs, see StoredFormat

The vault follows the namespaces of the catalog: it has their keys made and destroyed, and sets how
their new records are sealed. It also offers the training of dictionaries (`training.py`), which
its owner runs in a thread.

If the note is missing or differs from the settings, the stored pairs may have another form than
the settings ask for. Then `resealing.py` rewrites them before anything is served.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag

from kvorum.model import prefixes
from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.topology import NamespaceSettings
from kvorum.sealing.compression import Codec
from kvorum.sealing.dictionary import Dictionaries
from kvorum.sealing.keyring import Keyring
from kvorum.sealing.master_key import FileSource, MasterKeySource
from kvorum.sealing.seal import Manner, NamespaceSeal, Seal
from kvorum.sealing.training import Drift, Sampler, train
from kvorum.storage.store import ReadableStore

NOTE: Final = prefixes.FORMAT
FORMAT: Final = 4
"""There is no other: no earlier one was ever released."""

_NONCE_BYTES: Final = 12
_UNENCRYPTED: Final = b"\0\0"
"""In the place of a key id, for a dictionary of a namespace that is not encrypted."""


class StoredFormat(msgspec.Struct, frozen=True):
    """The note: the format of the stored pairs, and which namespaces are unencrypted (`open`)."""

    format: int = FORMAT
    open: tuple[str, ...] = ()


@dataclass(eq=False)
class TrainingJob:
    """The training of a dictionary for one namespace."""

    namespace: str
    _samples: list[bytes]
    _level: int
    _current: bytes | None
    part: NamespaceSeal
    """The seal of the namespace. If it is dropped and made again it has another one."""

    def run(self) -> bytes | None:
        """A better dictionary, or None. Takes a few tenths of a second; for any thread."""
        return train(self._samples, self._level, self._current)


class Vault:
    """The keyring, the dictionaries and the seal of one data directory.

    Methods that change keys or dictionaries block until the disk has synced, and raise
    StorageError if that fails.
    """

    def __init__(
        self,
        keyring: Keyring,
        dictionaries_path: Path,
        cluster: str,
        settings: Mapping[str, NamespaceSettings],
    ) -> None:
        self._cluster = cluster
        self._settings = dict(settings)
        self.keyring = keyring
        self.dictionaries = Dictionaries(
            dictionaries_path, self._seal_dictionary, self._open_dictionary
        )
        self.seal = Seal(keyring)
        for namespace in {*keyring.namespaces, *settings}:
            self.dictionaries.remove_lost(namespace, self._is_shredded)
            self._load(namespace)

    @classmethod
    def open(
        cls,
        directory: Path,
        store: ReadableStore,
        cluster: str,
        settings: Mapping[str, NamespaceSettings],
        source: MasterKeySource | None,
        now_ms: int,
    ) -> Vault:
        """The vault of a data directory with this `store`; a new one if there is no data yet.

        `source`: None for `master.key` in the directory. Raises ConfigError or StorageError.
        """
        path = directory / "keys.json"
        source = source or FileSource(directory / "master.key")
        if path.exists():
            keyring = Keyring.open(path, cluster, source, settings, now_ms)
        elif store.get(NOTE) is None:
            keyring = Keyring.create(path, cluster, source, settings, now_ms)
        else:
            raise ConfigError(
                f"The keyring {path} is missing. Restore it from a snapshot: without it nobody can "
                "read the data."
            )
        return cls(keyring, directory / "dictionaries", cluster, settings)

    # Format

    @property
    def present_format(self) -> StoredFormat:
        """The note that the settings of today ask for."""
        plain = [name for name, wish in self._settings.items() if wish.encryption == "off"]
        return StoredFormat(FORMAT, tuple(sorted(plain)))

    # Keys

    def rotate(self, namespace: str, now_ms: int) -> int:
        """Seal with a new data key from now on; returns its id."""
        key = self.keyring.rotate(namespace, now_ms)
        self.dictionaries.reseal(namespace)
        self._renew_manner(namespace)
        return key.id

    def retire(self, key_id: int) -> None:
        """Delete a retiring key that no record uses."""
        key = self.keyring.by_id(key_id)
        if key is not None:
            # After a rotation, a crash may have prevented it.
            self.dictionaries.reseal(key.namespace)
        self.keyring.retire(key_id)

    # Namespaces that come and go

    def create(self, namespace: str, settings: NamespaceSettings, now_ms: int) -> None:
        """Make the keys of a new namespace, and seal its records from now on."""
        self.keyring.renew(namespace, now_ms)
        self._settings[namespace] = settings
        self._load(namespace)

    def alter(self, namespace: str, settings: NamespaceSettings) -> None:
        """Seal new records of `namespace` by these settings. Stored ones still open."""
        self._settings[namespace] = settings
        part = self.seal.namespaces[namespace.encode()]
        if not settings.dictionary or settings.compression == "off":
            part.sampler = None
        self._load(namespace)

    def drop(self, namespace: str) -> None:
        """Destroy the keys and dictionaries of a dropped namespace."""
        self._settings.pop(namespace, None)
        self.seal.namespaces.pop(namespace.encode(), None)
        if namespace in self.keyring.namespaces:
            self.keyring.shred(namespace)
        self.dictionaries.remove_all(namespace)

    def remove(self, namespace: str, before_ms: int) -> None:
        """Hide unencrypted pairs of the dropped `namespace`; the scrubber will delete them."""
        self.seal.removing[namespace.encode()] = before_ms

    def removed(self, namespace: str) -> None:
        """No pair of the dropped `namespace` is left."""
        self.seal.removing.pop(namespace.encode(), None)

    def shred(self, namespace: str, now_ms: int) -> None:
        """Destroy the keys of `namespace`, and the dictionaries that these sealed. A namespace of
        the catalog gets new keys, and is empty from now on.
        """
        self.keyring.shred(namespace)
        self.dictionaries.remove_lost(namespace, self._is_shredded)
        self.seal.namespaces.pop(namespace.encode(), None)
        if namespace in self._settings:
            self.keyring.renew(namespace, now_ms)
            self._load(namespace)

    @property
    def namespaces(self) -> Mapping[str, NamespaceSettings]:
        """The settings of the namespaces of the catalog, by name."""
        return self._settings

    @property
    def encrypted(self) -> list[str]:
        """The namespaces of the catalog whose records are on the disk, and encrypted."""
        return [
            name
            for name, wish in self._settings.items()
            if wish.encryption == "on" and wish.durability != "none"
        ]

    def is_present(self, namespace: bytes, sealed: bytes) -> bool:
        """True if `sealed` is as it would be sealed now, or its namespace is not in the catalog."""
        if namespace.decode() not in self._settings:
            return True
        return self.seal.namespaces[namespace].manner.has_sealed(sealed)

    def _is_shredded(self, sealed_dictionary: bytes) -> bool:
        return self.keyring.is_shredded(int.from_bytes(sealed_dictionary[:2]))

    # Dictionaries

    def training_job(self, now: float) -> TrainingJob | None:
        """A training that is due at `now` (s, monotonic), if there is one."""
        for namespace, settings in self._settings.items():
            part = self.seal.namespaces[namespace.encode()]
            if part.sampler is None or not part.sampler.ready or not part.drift.is_due(now):
                continue
            current = self.dictionaries.current(namespace)
            data = None if current is None else current.data
            return TrainingJob(
                namespace, part.sampler.take(), settings.compression_level, data, part
            )
        return None

    def trained(self, job: TrainingJob, dictionary: bytes | None, now: float) -> None:
        """Compress with `dictionary`, unless it is None or the namespace is gone or shredded."""
        namespace = job.namespace
        if self.seal.namespaces.get(namespace.encode()) is not job.part:
            return
        try:
            if dictionary is not None:
                self.dictionaries.add(namespace, dictionary)
                self._load(namespace)
        finally:
            has_one = self.dictionaries.current(namespace) is not None
            self.seal.namespaces[namespace.encode()].drift.trained(now, has_one)

    def older_dictionaries(self) -> dict[str, tuple[int, ...]]:
        """The ids of the dictionaries that new records are not compressed with, by namespace."""
        older = {}
        for namespace, settings in self._settings.items():
            ids = self.dictionaries.ids(namespace)
            older[namespace] = tuple(ids[:-1] if settings.dictionary else ids)
        return older

    def forget_dictionary(self, namespace: str, dictionary: int) -> None:
        """Delete a dictionary that no record uses."""
        self.dictionaries.remove(namespace, dictionary)
        self.seal.namespaces[namespace.encode()].forget(dictionary)

    def _load(self, namespace: str) -> None:
        """Give the seal the keys and dictionaries of `namespace`, and its manner."""
        name = namespace.encode()
        part = self.seal.namespaces.get(name)
        if part is None:
            has_keys = namespace in self.keyring.namespaces
            index_key = self.keyring.index_key(namespace) if has_keys else None
            part = self.seal.namespaces[name] = NamespaceSeal(self._cluster, namespace, index_key)
        level = self._level(namespace)
        part.know(0, Codec(level))
        for dictionary_id in self.dictionaries.ids(namespace):
            dictionary = self.dictionaries.get(namespace, dictionary_id)
            part.know(dictionary_id, Codec(level, dictionary.data))
        self._renew_manner(namespace)

    def _renew_manner(self, namespace: str) -> None:
        settings = self._settings.get(namespace)
        part = self.seal.namespaces[namespace.encode()]
        # Pairs that are left of a namespace that is not in the catalog stay encrypted.
        encrypted = settings is None or settings.encryption == "on"
        key = self.keyring.active(namespace) if encrypted else None
        if settings is None or settings.compression == "off":
            part.use(Manner(key, None))
            return
        dictionary = self.dictionaries.current(namespace) if settings.dictionary else None
        dictionary_id = dictionary.id if dictionary else 0
        part.use(Manner(key, part.codec(dictionary_id), dictionary_id))
        if settings.dictionary and part.sampler is None:
            part.sampler = Sampler()
            part.drift = Drift(dictionary is not None)

    def _level(self, namespace: str) -> int:
        settings = self._settings.get(namespace)
        return settings.compression_level if settings else 1

    def _seal_dictionary(self, data: bytes, context: bytes) -> bytes:
        namespace = context.split(b"\0")[1].decode()
        settings = self._settings.get(namespace)
        if settings is not None and settings.encryption == "off":
            return _UNENCRYPTED + data
        key = self.keyring.active(namespace)
        nonce = os.urandom(_NONCE_BYTES)
        return key.id.to_bytes(2) + nonce + key.cipher.encrypt(nonce, data, context)

    def _open_dictionary(self, sealed: bytes, context: bytes) -> bytes:
        if sealed[:2] == _UNENCRYPTED:
            return sealed[2:]
        key_id = int.from_bytes(sealed[:2])
        key = self.keyring.by_id(key_id)
        if key is None:
            raise StorageError(f"Its data key {key_id} is not in the keyring. Restore keys.json.")
        nonce, text = sealed[2 : 2 + _NONCE_BYTES], sealed[2 + _NONCE_BYTES :]
        try:
            return key.cipher.decrypt(nonce, text, context)
        except (InvalidTag, ValueError) as error:
            raise StorageError(f"It does not open with its data key {key_id}.") from error

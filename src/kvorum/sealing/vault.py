"""The vault: all that a data directory needs to seal its records and to open them again.

    DIR/keys.json          the keyring: data keys, wrapped by the master key
    DIR/dictionaries/      what small records are compressed with, sealed by the data keys
    b"f" in the store      the format of what is stored: how each namespace was left

It knows, for each namespace, the manner of sealing that its settings ask for, and finds out
when a dictionary is worth training (`training.py`); its owner lends the thread for that.

A directory without the note `b"f"` is new, or the note was not durable yet. Where it says that a
namespace's encryption has been turned on or off since, records are found under the wrong keys. In
these cases `resealing.py` brings every record into its present form before anything is served.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
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
_LIES_OPEN: Final = b"\0\0"
"""In the place of a key id: a dictionary of a namespace that is not encrypted."""


class StoredFormat(msgspec.Struct, frozen=True):
    """The note: the format of the stored records, and which namespaces lie open."""

    format: int = FORMAT
    open: tuple[str, ...] = ()


class TrainingJob:
    """A dictionary to be trained. `learn` takes a few tenths of a second, and any thread."""

    __slots__ = ("_current", "_level", "_samples", "namespace", "part")

    def __init__(
        self,
        namespace: str,
        samples: list[bytes],
        level: int,
        current: bytes | None,
        part: NamespaceSeal,
    ) -> None:
        self.namespace = namespace
        self.part = part
        """Whose records the samples are. A namespace that is made anew has another one."""
        self._samples = samples
        self._level = level
        self._current = current

    def learn(self) -> bytes | None:
        """A dictionary that is better than the current one; None if there is none."""
        return train(self._samples, self._level, self._current)


class Vault:
    __slots__ = ("_cluster", "_settings", "dictionaries", "keyring", "seal")

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
        known = {status.namespace for status in keyring.describe()} | set(settings)
        for namespace in known:
            self.dictionaries.remove_lost(namespace, self._is_shredded)
            self._learn_of(namespace)

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
        """The vault of a data directory with this `store`; made if there is no data yet.

        `source`: None for `master.key` in the directory. Raises ConfigError, StorageError.
        """
        path = directory / "keys.json"
        source = source or FileSource(directory / "master.key")
        if path.exists():
            keyring = Keyring.open(path, cluster, source, settings, now_ms)
        elif store.get(NOTE) is None:
            keyring = Keyring.create(path, cluster, source, settings, now_ms)
        else:
            raise ConfigError(
                f"wanted the keyring of the data in {directory}, got no {path}; restore it from "
                "a snapshot: without it nobody can read the data"
            )
        return cls(keyring, directory / "dictionaries", cluster, settings)

    # Format

    @property
    def wanted_format(self) -> StoredFormat:
        lie_open = [name for name, wish in self._settings.items() if wish.encryption == "off"]
        return StoredFormat(FORMAT, tuple(sorted(lie_open)))

    # Keys

    def rotate(self, namespace: str, now_ms: int) -> int:
        """Seal with a new data key from now on; returns its id. Waits for the disk."""
        key = self.keyring.rotate(namespace, now_ms)
        self.dictionaries.seal_again(namespace)
        self._renew_manner(namespace)
        return key.id

    def retire(self, key_id: int) -> None:
        """Forget a retiring key that no record uses. Waits for the disk."""
        for key in self.keyring.describe():
            if key.id == key_id:
                # A crash may have come between the last rotation and this.
                self.dictionaries.seal_again(key.namespace)
        self.keyring.retire(key_id)

    # Namespaces that come and go

    def check_created(self, namespace: str, settings: NamespaceSettings) -> None:
        """Raises ConfigError if `create` could not give `namespace` what these settings ask for."""
        keyring = self.keyring
        if namespace in keyring.namespaces and settings.encryption == "off":
            raise ConfigError(
                f"The data directory has encrypted entries of an earlier namespace {namespace!r}. "
                "Choose another name, or leave encryption on."
            )
        if namespace not in keyring.namespaces and not keyring.has_room:
            raise ConfigError(
                "The data directory has used up all ids of data keys. Start the node on an empty "
                "one and let it be filled by the others."
            )

    def create(self, namespace: str, settings: NamespaceSettings, now_ms: int) -> None:
        """Seal what is written to `namespace` from now on. Waits for the disk."""
        self.keyring.renew(namespace, now_ms)
        self._settings[namespace] = settings
        self._learn_of(namespace)

    def alter(self, namespace: str, settings: NamespaceSettings) -> None:
        """Seal new records of `namespace` by these settings; what is stored opens as before."""
        self._settings[namespace] = settings
        part = self.seal.namespaces[namespace.encode()]
        if not settings.dictionary or settings.compression == "off":
            part.sampler = None
        self._learn_of(namespace)

    def drop(self, namespace: str) -> None:
        """Destroy what could open the records of `namespace`, which is no more. Waits for the
        disk.
        """
        self._settings.pop(namespace, None)
        self.seal.namespaces.pop(namespace.encode(), None)
        if namespace in self.keyring.namespaces:
            self.keyring.shred(namespace)
        self.dictionaries.remove_all(namespace)

    def remove(self, namespace: str, before_ms: int) -> None:
        """What lies open of the dropped `namespace` is not to be seen, and to be deleted."""
        self.seal.removing[namespace.encode()] = before_ms

    def removed(self, namespace: str) -> None:
        """Nothing of the dropped `namespace` is left."""
        self.seal.removing.pop(namespace.encode(), None)

    def shred(self, namespace: str, now_ms: int) -> None:
        """Destroy what could open the records of `namespace`. Waits for the disk.

        If it is in the topology it gets new keys, and is empty from now on.
        """
        self.keyring.shred(namespace)
        self.dictionaries.remove_lost(namespace, self._is_shredded)
        self.seal.namespaces.pop(namespace.encode(), None)
        if namespace in self._settings:
            self.keyring.renew(namespace, now_ms)
            self._learn_of(namespace)

    @property
    def namespaces(self) -> Mapping[str, NamespaceSettings]:
        """The namespaces of the topology."""
        return self._settings

    @property
    def encrypted(self) -> list[str]:
        """The namespaces of the topology whose records are stored, and encrypted."""
        return [
            name
            for name, wish in self._settings.items()
            if wish.encryption == "on" and wish.durability != "none"
        ]

    def is_present(self, namespace: bytes, sealed: bytes) -> bool:
        """True if a stored value of `namespace` is sealed as it would be now.

        What belongs to no namespace of the topology stays as it is.
        """
        if namespace.decode() not in self._settings:
            return True
        return self.seal.namespaces[namespace].manner.has_sealed(sealed)

    def _is_shredded(self, sealed_dictionary: bytes) -> bool:
        return self.keyring.is_shredded(int.from_bytes(sealed_dictionary[:2]))

    # Dictionaries

    def job(self, now: float) -> TrainingJob | None:
        """The next dictionary that is due for training, if any."""
        for namespace, settings in self._settings.items():
            part = self.seal.namespaces[namespace.encode()]
            if part.sampler is None or not part.sampler.ready or not part.drift.wants(now):
                continue
            current = self.dictionaries.current(namespace)
            data = None if current is None else current.data
            return TrainingJob(
                namespace, part.sampler.take(), settings.compression_level, data, part
            )
        return None

    def learned(self, job: TrainingJob, dictionary: bytes | None, now: float) -> None:
        """What came of `job`. Waits for the disk.

        Nothing, if the namespace was dropped or shredded meanwhile. Raises StorageError if the
        dictionary cannot be kept: then all stays as it was.
        """
        namespace = job.namespace
        if self.seal.namespaces.get(namespace.encode()) is not job.part:
            return
        try:
            if dictionary is not None:
                self.dictionaries.add(namespace, dictionary)
                self._learn_of(namespace)
        finally:
            has_one = self.dictionaries.current(namespace) is not None
            self.seal.namespaces[namespace.encode()].drift.tried(now, has_one)

    def older_dictionaries(self) -> dict[str, tuple[int, ...]]:
        """Those that nothing is compressed with any more, by namespace."""
        older = {}
        for namespace, settings in self._settings.items():
            ids = self.dictionaries.ids(namespace)
            older[namespace] = tuple(ids[:-1] if settings.dictionary else ids)
        return older

    def forget_dictionary(self, namespace: str, dictionary: int) -> None:
        """No record needs it any more. Waits for the disk."""
        self.dictionaries.remove(namespace, dictionary)
        self.seal.namespaces[namespace.encode()].forget(dictionary)

    def _learn_of(self, namespace: str) -> None:
        """Know all dictionaries of `namespace`, and seal with the newest."""
        name = namespace.encode()
        part = self.seal.namespaces.get(name)
        if part is None:
            has_keys = any(key.namespace == namespace for key in self.keyring.describe())
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
        if settings is None:
            # It is no longer in the topology. What is left of it stays sealed where it is moved.
            part.use(Manner(self.keyring.active(namespace), None))
            return
        key = self.keyring.active(namespace) if settings.encryption == "on" else None
        dictionary = self.dictionaries.current(namespace) if settings.dictionary else None
        if settings.compression == "off":
            part.use(Manner(key, None))
            return
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
            return _LIES_OPEN + data
        key = self.keyring.active(namespace)
        nonce = os.urandom(_NONCE_BYTES)
        return key.id.to_bytes(2) + nonce + key.cipher.encrypt(nonce, data, context)

    def _open_dictionary(self, sealed: bytes, context: bytes) -> bytes:
        if sealed[:2] == _LIES_OPEN:
            return sealed[2:]
        key_id = int.from_bytes(sealed[:2])
        key = self.keyring.by_id(key_id)
        if key is None:
            raise StorageError(f"it was sealed with data key {key_id}, which is not in keys.json")
        nonce, text = sealed[2 : 2 + _NONCE_BYTES], sealed[2 + _NONCE_BYTES :]
        try:
            return key.cipher.decrypt(nonce, text, context)
        except (InvalidTag, ValueError) as error:
            raise StorageError(f"it does not open with data key {key_id}") from error

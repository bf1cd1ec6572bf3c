"""The keyring of a data directory: all keys of its namespaces.

The keys are in plain in memory, and in `keys.json` wrapped (encrypted) by the master key. A stored
record names the key that sealed it (`by_id`); a new record is sealed with its namespace's active
key. Every change is durable before it is visible. It blocks until the disk has synced, and first
unwraps all new keys, so that no file is written that does not open. Readers in other threads see
the keys from before a change or from after it.

If a change raises StorageError, the file may hold the old keys or the new ones, and only opening
it again tells which: the node must stop.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from kvorum.documents import data_keys as documents
from kvorum.model.errors import ConfigError, StorageError
from kvorum.sealing import keyring_file
from kvorum.sealing.keyring_file import KeyringFile
from kvorum.sealing.keyring_state import KEY_ID_MAX, KeyringState, no_keys
from kvorum.sealing.master_key import MasterKey, MasterKeySource, load_first


class DataKey:
    """A key that encrypts records of `namespace`. Its `id` is stored with each of them."""

    __slots__ = ("cipher", "id", "namespace")

    def __init__(self, key_id: int, namespace: str, key: bytes) -> None:
        self.id: Final = key_id
        self.namespace: Final = namespace
        self.cipher: Final = AESGCMSIV(key)


class _OpenKeys:
    """All keys of a state, unwrapped. Replaced as a whole: readers never see half a change."""

    def __init__(self, state: KeyringState, master: MasterKey) -> None:
        self.shredded = frozenset(key_id for ids in state.shredded.values() for key_id in ids)
        self.active: dict[str, DataKey] = {}
        self.by_id: dict[int, DataKey] = {}
        self.index: dict[str, bytes] = {}
        for namespace, keys in state.namespaces.items():
            self.index[namespace] = state.index_key(namespace, master)
            for wrapped in keys.data:
                plain = state.data_key(namespace, wrapped, master)
                key = DataKey(wrapped.id, namespace, plain)
                self.by_id[key.id] = key
                if wrapped.state == "active":
                    self.active[namespace] = key


class Keyring:
    """The keys of one data directory. Every change blocks, and raises StorageError if it fails."""

    def __init__(self, path: Path, state: KeyringState, master: MasterKey) -> None:
        self._path = path
        self._state = state
        self.master = master
        self._keys = _OpenKeys(state, master)

    @classmethod
    def create(
        cls,
        path: Path,
        cluster: str,
        source: MasterKeySource,
        namespaces: Iterable[str],
        now_ms: int,
    ) -> Keyring:
        """The keyring of a directory that holds no data yet. Raises ConfigError or StorageError."""
        if path.exists():
            raise ConfigError(f"{path} exists already. Open it instead of making a new one.")
        keyring = cls(path, KeyringState.empty(cluster), load_first(source))
        state = keyring._completed(namespaces, now_ms)
        keyring._store(state, keyring.master)
        return keyring

    @classmethod
    def open(
        cls,
        path: Path,
        cluster: str,
        source: MasterKeySource,
        namespaces: Iterable[str],
        now_ms: int,
    ) -> Keyring:
        """The keyring of a directory that holds data, with new keys for those of `namespaces` that
        have none.

        Raises ConfigError if the file or its master key is missing or wrong, or StorageError.
        """
        try:
            file = keyring_file.read(path)
            master = _load(source, file.master_key)
            state = file.verified(master)
            _check_cluster(state, cluster)
            keyring = cls(path, state, master)
            keyring_file.finish(path)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error.message}", **error.details) from error
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be read or written: {error}. Make it a file of this user."
            ) from error
        complete = keyring._completed(namespaces, now_ms)
        if complete is not state:
            keyring._store(complete, master)
        return keyring

    def active(self, namespace: str) -> DataKey:
        """The key for new records. Raises NamespaceNotFound if the namespace has none."""
        key = self._keys.active.get(namespace)
        if key is None:
            raise no_keys(namespace)
        return key

    def by_id(self, key_id: int) -> DataKey | None:
        """The key with this id; None if it was retired, shredded, or never there."""
        return self._keys.by_id.get(key_id)

    def index_key(self, namespace: str) -> bytes:
        """The key for pseudonyms of record names. Raises NamespaceNotFound if there is none."""
        key = self._keys.index.get(namespace)
        if key is None:
            raise no_keys(namespace)
        return key

    def is_shredded(self, key_id: int) -> bool:
        """True if this key was destroyed by a shred, so that its records are meant to be lost."""
        return key_id in self.shredded

    @property
    def shredded(self) -> frozenset[int]:
        """The ids of all keys that were destroyed by a shred."""
        return self._keys.shredded

    def rotate(self, namespace: str, now_ms: int) -> DataKey:
        """The new active key. The one that it replaces is retiring: it still decrypts."""
        self._store(self._state.rotated(namespace, self.master, now_ms), self.master)
        return self.active(namespace)

    def retire(self, key_id: int) -> None:
        """Delete a retiring key that no record uses. Raises ValueError if it is not retiring."""
        self._store(self._state.retired(key_id), self.master)

    def shred(self, namespace: str) -> None:
        """Destroy all keys of a namespace, so that nobody can ever read its records again."""
        self._store(self._state.without(namespace), self.master)

    def renew(self, namespace: str, now_ms: int) -> None:
        """Make the first keys of a namespace that has none; no change if it has some."""
        state = self._completed([namespace], now_ms)
        if state is not self._state:
            self._store(state, self.master)

    def rewrap(self, new: MasterKey) -> None:
        """Wrap all keys with the master key `new` from now on. The keys stay the same."""
        self._store(self._state.rewrapped(self.master, new), new)

    @property
    def namespaces(self) -> Collection[str]:
        """The namespaces that have keys."""
        return self._state.namespaces.keys()

    @property
    def has_room(self) -> bool:
        """False if no key can be made any more because all ids were used."""
        return self._state.last_id < KEY_ID_MAX

    def describe(self) -> list[documents.DataKey]:
        """All data keys, by namespace, oldest first."""
        return [
            documents.DataKey(
                namespace=namespace, id=key.id, state=key.state, created_ms=key.created_ms
            )
            for namespace, keys in self._state.namespaces.items()
            for key in keys.data
        ]

    def _completed(self, namespaces: Iterable[str], now_ms: int) -> KeyringState:
        state = self._state
        for namespace in namespaces:
            if namespace not in state.namespaces:
                state = state.added(namespace, self.master, now_ms)
        return state

    def _store(self, state: KeyringState, master: MasterKey) -> None:
        keys = _OpenKeys(state, master)
        try:
            keyring_file.write(self._path, KeyringFile.sealed(state, master).encoded())
        except OSError as error:
            raise StorageError(
                f"The keyring {self._path} cannot be written: {error}. Look after the disk."
            ) from error
        self._state, self.master, self._keys = state, master, keys


def _load(source: MasterKeySource, needed: str) -> MasterKey:
    try:
        return source.load()
    except ConfigError as error:
        raise ConfigError(
            f"This directory was sealed with master key {needed}. {error.message}", wanted=needed
        ) from error


def _check_cluster(state: KeyringState, cluster: str) -> None:
    if state.cluster != cluster:
        raise ConfigError(
            f"The keys are of cluster {state.cluster!r}, and the node is of cluster {cluster!r}. "
            "Start this directory in the cluster it belongs to, or start on an empty one.",
            wanted=cluster,
            got=state.cluster,
        )

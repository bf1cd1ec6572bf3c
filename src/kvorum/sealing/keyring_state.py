"""The state of a keyring as an immutable value, and its transitions.

Each namespace has an index key, which makes the pseudonyms of its records' names and lasts as long
as the namespace, and data keys, which encrypt its records. One data key is active; the others are
retiring: kept until no record uses them.

    rotate   the active key becomes retiring, a new one active
    retire   a retiring key is deleted
    shred    all keys of a namespace are deleted; only their ids are remembered
    rewrap   the same keys, wrapped by another master key

An id is never used twice in a data directory: `last_id` only grows. So no record is ever decrypted
with a later key of the same id.

Each key is wrapped with its cluster, namespace, id and purpose as associated data.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from kvorum.model.errors import ConfigError, NamespaceNotFound
from kvorum.sealing.master_key import KEY_BYTES, MasterKey

KEY_ID_MAX: Final = 65535
_INDEX_KEY_ID: Final = 0
"""Index keys need no id: each namespace has one."""

KeyId = Annotated[int, Meta(ge=1, le=KEY_ID_MAX)]
KeyState = Literal["active", "retiring"]
Purpose = Literal["data", "index"]


class WrappedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data key, encrypted by the master key."""

    id: KeyId
    wrapped: bytes
    created_ms: Annotated[int, Meta(ge=0)]
    state: KeyState


class NamespaceKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The wrapped keys of a namespace. `data` is oldest first; its last is the active one."""

    index: bytes
    data: Annotated[tuple[WrappedKey, ...], Meta(min_length=1)]


class KeyringState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All keys of a data directory, wrapped. `shredded`: ids of destroyed keys, by namespace."""

    cluster: str
    last_id: Annotated[int, Meta(ge=0, le=KEY_ID_MAX)]
    namespaces: dict[str, NamespaceKeys]
    shredded: dict[str, tuple[KeyId, ...]]

    @classmethod
    def empty(cls, cluster: str) -> KeyringState:
        """The state without any keys."""
        return cls(cluster, 0, {}, {})

    def keys_of(self, namespace: str) -> NamespaceKeys:
        """The keys of a namespace. Raises NamespaceNotFound if it has none."""
        keys = self.namespaces.get(namespace)
        if keys is None:
            raise no_keys(namespace)
        return keys

    def added(self, namespace: str, master: MasterKey, now_ms: int) -> KeyringState:
        """The state with first keys for `namespace`. Raises ConfigError if all ids are used."""
        index = self._wrapped(master, "index", namespace, _INDEX_KEY_ID, _random_key())
        keys = NamespaceKeys(index, (self._new_key(namespace, master, now_ms),))
        return replace(self._with(namespace, keys), last_id=self.last_id + 1)

    def rotated(self, namespace: str, master: MasterKey, now_ms: int) -> KeyringState:
        """The state with a new active key of `namespace`. Raises NamespaceNotFound."""
        keys = self.keys_of(namespace)
        retiring = tuple(replace(key, state="retiring") for key in keys.data)
        data = (*retiring, self._new_key(namespace, master, now_ms))
        return replace(self._with(namespace, replace(keys, data=data)), last_id=self.last_id + 1)

    def retired(self, key_id: int) -> KeyringState:
        """The state without this key. Raises ValueError if it is not a retiring one."""
        for namespace, keys in self.namespaces.items():
            for key in keys.data:
                if key.id == key_id and key.state == "retiring":
                    left = tuple(other for other in keys.data if other is not key)
                    return self._with(namespace, replace(keys, data=left))
        raise ValueError(f"Data key {key_id} is not retiring. Rotate it out first.")

    def without(self, namespace: str) -> KeyringState:
        """The state after a shred: only the ids of the keys are left. Raises NamespaceNotFound."""
        gone = tuple(key.id for key in self.keys_of(namespace).data)
        namespaces = {name: keys for name, keys in self.namespaces.items() if name != namespace}
        before = self.shredded.get(namespace, ())
        return replace(
            self, namespaces=namespaces, shredded={**self.shredded, namespace: (*before, *gone)}
        )

    def rewrapped(self, old: MasterKey, new: MasterKey) -> KeyringState:
        """The state with the same keys, wrapped by `new`. Raises ConfigError if `old` is wrong."""
        return replace(
            self,
            namespaces={
                namespace: self._rewrapped(namespace, keys, old, new)
                for namespace, keys in self.namespaces.items()
            },
        )

    def index_key(self, namespace: str, master: MasterKey) -> bytes:
        """The index key in plain. Raises ConfigError if it does not unwrap."""
        context = self._context("index", namespace, _INDEX_KEY_ID)
        return master.unwrap(self.namespaces[namespace].index, context)

    def data_key(self, namespace: str, key: WrappedKey, master: MasterKey) -> bytes:
        """The data key in plain. Raises ConfigError if it does not unwrap."""
        return master.unwrap(key.wrapped, self._context("data", namespace, key.id))

    def _with(self, namespace: str, keys: NamespaceKeys) -> KeyringState:
        return replace(self, namespaces={**self.namespaces, namespace: keys})

    def _new_key(self, namespace: str, master: MasterKey, now_ms: int) -> WrappedKey:
        if self.last_id == KEY_ID_MAX:
            raise ConfigError(
                f"Namespace {namespace!r} can get no new data key: all {KEY_ID_MAX} ids of this "
                "directory are used up. Start on an empty one and let the other nodes fill it."
            )
        key_id = self.last_id + 1
        wrapped = self._wrapped(master, "data", namespace, key_id, _random_key())
        return WrappedKey(key_id, wrapped, now_ms, "active")

    def _rewrapped(
        self, namespace: str, keys: NamespaceKeys, old: MasterKey, new: MasterKey
    ) -> NamespaceKeys:
        index = self.index_key(namespace, old)
        return NamespaceKeys(
            self._wrapped(new, "index", namespace, _INDEX_KEY_ID, index),
            tuple(
                replace(
                    key,
                    wrapped=self._wrapped(
                        new, "data", namespace, key.id, self.data_key(namespace, key, old)
                    ),
                )
                for key in keys.data
            ),
        )

    def _wrapped(
        self, master: MasterKey, purpose: Purpose, namespace: str, key_id: int, plain: bytes
    ) -> bytes:
        return master.wrap(plain, self._context(purpose, namespace, key_id))

    def _context(self, purpose: Purpose, namespace: str, key_id: int) -> bytes:
        return msgspec.json.encode(("kvorum key", purpose, self.cluster, namespace, key_id))


def no_keys(namespace: str) -> NamespaceNotFound:
    """The error to raise for a namespace without keys."""
    return NamespaceNotFound(
        f"Namespace {namespace!r} has no keys on this node: it was shredded, or is not encrypted.",
        namespace=namespace,
    )


def _random_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)

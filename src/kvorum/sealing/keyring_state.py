"""What a keyring lists, as a value, and how each change makes the next one.

Each namespace has an index key, which names its records on disk and lasts as long as the
namespace, and data keys, which seal its records: one is active, the others are retiring, kept
until no record uses them.

    rotate   the active key becomes retiring, a new one active
    retire   a retiring key is forgotten
    shred    all keys of a namespace are forgotten; only their ids are remembered
    rewrap   the same keys, wrapped by another master key

An id names one key for as long as the data directory lives: `last_id` only grows, so a record
that turns up late is never tried with a key that came after.

Each key is wrapped for its place: cluster, namespace, id and purpose are authenticated with it.
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
"""Index keys need none: each namespace has one."""

KeyId = Annotated[int, Meta(ge=1, le=KEY_ID_MAX)]
KeyState = Literal["active", "retiring"]
Purpose = Literal["data", "index"]


class WrappedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: KeyId
    wrapped: bytes
    created_ms: Annotated[int, Meta(ge=0)]
    state: KeyState


class NamespaceKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`data` is oldest first, so its last is the active one."""

    index: bytes
    data: Annotated[tuple[WrappedKey, ...], Meta(min_length=1)]


class KeyringState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`shredded` is namespace to the ids of its keys that are gone for good."""

    cluster: str
    last_id: Annotated[int, Meta(ge=0, le=KEY_ID_MAX)]
    namespaces: dict[str, NamespaceKeys]
    shredded: dict[str, tuple[KeyId, ...]]

    @classmethod
    def empty(cls, cluster: str) -> KeyringState:
        return cls(cluster, 0, {}, {})

    def keys_of(self, namespace: str) -> NamespaceKeys:
        """Raises NamespaceNotFound if it has none."""
        keys = self.namespaces.get(namespace)
        if keys is None:
            raise no_keys(namespace)
        return keys

    def added(self, namespace: str, master: MasterKey, now_ms: int) -> KeyringState:
        """With the first keys of a namespace that has none."""
        index = self._wrapped(master, "index", namespace, _INDEX_KEY_ID, _random_key())
        keys = NamespaceKeys(index, (self._new_key(namespace, master, now_ms),))
        return replace(self._with(namespace, keys), last_id=self.last_id + 1)

    def rotated(self, namespace: str, master: MasterKey, now_ms: int) -> KeyringState:
        keys = self.keys_of(namespace)
        retiring = tuple(replace(key, state="retiring") for key in keys.data)
        data = (*retiring, self._new_key(namespace, master, now_ms))
        return replace(self._with(namespace, replace(keys, data=data)), last_id=self.last_id + 1)

    def retired(self, key_id: int) -> KeyringState:
        """Raises ValueError if it is not the id of a retiring key."""
        for namespace, keys in self.namespaces.items():
            for key in keys.data:
                if key.id == key_id and key.state == "retiring":
                    left = tuple(other for other in keys.data if other is not key)
                    return self._with(namespace, replace(keys, data=left))
        raise ValueError(f"wanted the id of a retiring key, got {key_id}; rotate it out first")

    def without(self, namespace: str) -> KeyringState:
        """Shredded: its keys are forgotten, their ids remembered."""
        gone = tuple(key.id for key in self.keys_of(namespace).data)
        namespaces = {name: keys for name, keys in self.namespaces.items() if name != namespace}
        before = self.shredded.get(namespace, ())
        return replace(
            self, namespaces=namespaces, shredded={**self.shredded, namespace: (*before, *gone)}
        )

    def rewrapped(self, old: MasterKey, new: MasterKey) -> KeyringState:
        return replace(
            self,
            namespaces={
                namespace: self._rewrapped(namespace, keys, old, new)
                for namespace, keys in self.namespaces.items()
            },
        )

    def index_key(self, namespace: str, master: MasterKey) -> bytes:
        """In plain. Raises ConfigError if it was wrapped by another key or for another place."""
        context = self._context("index", namespace, _INDEX_KEY_ID)
        return master.unwrap(self.namespaces[namespace].index, context)

    def data_key(self, namespace: str, key: WrappedKey, master: MasterKey) -> bytes:
        """In plain. Raises ConfigError if it was wrapped by another key or for another place."""
        return master.unwrap(key.wrapped, self._context("data", namespace, key.id))

    def _with(self, namespace: str, keys: NamespaceKeys) -> KeyringState:
        return replace(self, namespaces={**self.namespaces, namespace: keys})

    def _new_key(self, namespace: str, master: MasterKey, now_ms: int) -> WrappedKey:
        if self.last_id == KEY_ID_MAX:
            raise ConfigError(
                f"wanted another data key for namespace {namespace!r}, got all {KEY_ID_MAX} ids "
                "used up; start the node on an empty data directory and let it be repaired"
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
    return NamespaceNotFound(
        f"wanted the keys of namespace {namespace!r}, got none: it was shredded, or is not "
        "encrypted on this node",
        namespace=namespace,
    )


def _random_key() -> bytes:
    return secrets.token_bytes(KEY_BYTES)

"""Holdings: what the nodes that are up hold of a key, seen from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvorum.cluster.clocks import SKEW_MS
from kvorum.model.hash_tags import place_token
from kvorum.model.keys import TOKEN_HASHES, encode_key, storage_key
from kvorum.model.placement import Placement
from kvorum.model.record import decode, encode, expire
from kvorum.model.topology import NamespaceSettings, Topology
from kvorum.sim.life import Life

_SWEEPS = 2
_FAR_MS = 1 << 53


@dataclass(eq=False)
class Holdings:
    """`lives`: by node the one under way, or None. A sweep begins every `sweep_s` seconds."""

    _topology: Topology
    _placement: Placement
    _lives: Sequence[Life | None]
    _sweep_s: float

    def settings_at(self, key: bytes) -> NamespaceSettings:
        """Of the namespace of the storage key `key`."""
        return self._topology.namespaces[key[9 : key.index(0, 9)].decode()]

    def owners(self, namespace: str, key: str) -> tuple[int, ...]:
        return self._place(namespace, key)[1]

    def owners_at(self, key: bytes) -> tuple[int, ...]:
        """Of the storage key `key`."""
        partition = self._placement.partition(key[1:9])
        return self._placement.owners(partition, self.settings_at(key).rule)

    def stored(self, namespace: str, key: str) -> dict[int, bytes | None]:
        """What the owners of `key` that are up hold of it.

        What expires does not count, for some expire it before others; nor does a tombstone: while
        it is collected, some have it and some do not.
        """
        storage_key, owners = self._place(namespace, key)
        lives = ((node, self._lives[node]) for node in owners)
        held = {node: life.held(storage_key) for node, life in lives if life is not None}
        return {node: data and _lasting(storage_key, data) for node, data in held.items()}

    def stood_in_for(self, namespace: str, key: str) -> bool:
        """True if a node that is no owner has coordinated a write of `key`: it owes the record to
        one of the owners that it could not reach, not to all.
        """
        storage_key, owners = self._place(namespace, key)
        of_owners = {life.actor for life in map(self._lives.__getitem__, owners) if life}
        held = [life.held(storage_key) for life in self._lives if life is not None]
        return any(
            event.actor not in of_owners
            for data in held
            if data is not None
            for event in decode(storage_key, data).context
        )

    def damaged(self, namespace: str, key: str) -> list[int]:
        """The nodes that are up and hold a damaged record of `key`."""
        storage_key, _ = self._place(namespace, key)
        lives = enumerate(self._lives)
        return [node for node, life in lives if life and life.is_damaged(storage_key)]

    def values(self, namespace: str, key: str) -> dict[int, tuple[bytes, ...]]:
        """The values of `key` in the stores of all nodes that are up."""
        storage_key, _ = self._place(namespace, key)
        found = {}
        for node, life in enumerate(self._lives):
            data = None if life is None else life.held(storage_key)
            if data is not None:
                found[node] = tuple(v.value for v in decode(storage_key, data).versions)
        return found

    def expired(self, namespace: str, key: str) -> dict[int, int]:
        """How many versions of `key` each owner that is up should have expired by now."""
        storage_key, owners = self._place(namespace, key)
        found = {}
        for node in owners:
            life = self._lives[node]
            data = None if life is None else life.held(storage_key)
            if life is not None and data is not None and life.replicator.clocks.may_remove:
                record = decode(storage_key, data)
                left = expire(record, life.runtime.wall_ms() - SKEW_MS - self._swept_in_ms)
                found[node] = len(record.versions) - len(left.versions)
        return found

    @property
    def _swept_in_ms(self) -> int:
        """A sweep begins, and has ended, so long after it is due."""
        return int(_SWEEPS * self._sweep_s * 1000)

    def _place(self, namespace: str, key: str) -> tuple[bytes, tuple[int, ...]]:
        data = encode_key(key)
        token_hash, seed = TOKEN_HASHES[self._topology.token_hash], self._topology.token_seed
        tags = self._topology.namespaces[namespace].hash_tags
        token = place_token(token_hash, seed, data) if tags else token_hash(data, seed)
        key_there = storage_key(token, namespace, data)
        return key_there, self.owners_at(key_there)


def _lasting(key: bytes, data: bytes) -> bytes | None:
    lasting = expire(decode(key, data), _FAR_MS)
    return encode(key, lasting) if lasting.versions else None

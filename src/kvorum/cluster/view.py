"""The view of one node: which nodes the cluster has, where data lives, and which namespaces exist.

    topology    the nodes, under an epoch        fixed for as long as the node runs, in this version
    placement   partition -> replica set         follows from the topology and the catalog
    catalog     namespace -> settings            changes while the node runs

What exists once for each namespace (hash trees, caches, keys) is made, altered and ended by
subscribers to changes of the catalog. A change is complete when `change_catalog` returns, so
nothing ever sees half of it.

    key -> token -> partition -> replica set -> the nodes to ask, and those that stand in
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from kvorum.model.catalog import Catalog
from kvorum.model.errors import QuorumError
from kvorum.model.hash_tags import place_token, tag_range
from kvorum.model.keys import TOKEN_HASHES, encode_key, namespace_of, storage_key
from kvorum.model.placement import Placement
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.replica_set import ReplicaSet
from kvorum.model.spans import TokenSpan, of_partition
from kvorum.model.topology import NamespaceSettings, Topology

OnCatalog = Callable[[Catalog, Catalog], object]
"""Called with the old and the new catalog."""

SLOPPY: Final = "sloppy"


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where one key is stored.

    `token`: of the key. `key`: its storage key. `replicas`: its replica set. `settings`: of its
    namespace.
    """

    token: bytes
    key: bytes
    replicas: ReplicaSet
    settings: NamespaceSettings


class ClusterView:
    """The cluster as the node with the number `local` sees it."""

    def __init__(
        self,
        topology: Topology,
        local: int,
        catalog: Catalog | None = None,
        placement: Placement | None = None,
    ) -> None:
        """`catalog`: None for the namespaces that the topology declares. `placement`: of that
        topology, where it is at hand; it takes a while to work out.
        """
        self.topology = topology
        self.local = local
        self.placement = placement or Placement(topology)
        self._place_hash = TOKEN_HASHES[topology.token_hash]
        self._listeners: list[OnCatalog] = []
        # Replica sets by the number of copies and partition, each made when it is first asked for.
        self._strict: dict[int, dict[int, ReplicaSet]] = {}
        self._sloppy: dict[int, dict[int, ReplicaSet]] = {}
        self._take(catalog or Catalog.declared(topology))

    @property
    def epoch(self) -> int:
        """The epoch of the topology."""
        return self.topology.epoch

    # Changes

    def subscribe(self, listener: OnCatalog) -> None:
        """Have `listener(old, new)` called after each change, in the order of subscriptions."""
        self._listeners.append(listener)

    def change_catalog(self, catalog: Catalog) -> None:
        """Replace the catalog by `catalog`, and tell all subscribers."""
        old = self.catalog
        self._take(catalog)
        for listener in self._listeners:
            listener(old, catalog)

    def _take(self, catalog: Catalog) -> None:
        self.catalog = catalog
        namespaces = catalog.namespaces.items()
        self._known = frozenset(name.encode() for name in catalog.namespaces)
        self._volatile = frozenset(
            name.encode() for name, settings in namespaces if settings.durability == "none"
        )
        self.rules = tuple(sorted({s.rule for _, s in namespaces if s.durability != "none"}))
        """The placement rules of the namespaces whose replicas are compared."""
        for rule in {settings.rule for _, settings in namespaces}:
            self._strict.setdefault(rule.copies, {})
            self._sloppy.setdefault(rule.copies, {})

    # Where keys live

    def place(self, namespace: str, key: str, quorum: str = "") -> Place:
        """Where `key` is stored. `quorum`: its kind, if the request names one.

        Raises NamespaceNotFound or InvalidKey.
        """
        catalog = self.catalog
        settings = catalog.namespaces.get(namespace) or catalog.settings(namespace)
        data = encode_key(key)
        if b"{" in data and settings.hash_tags:
            token = place_token(self._place_hash, self.topology.token_seed, data)
        else:
            token = self._place_hash(data, self.topology.token_seed)
        partition = self.placement.partition(token)
        if (quorum or settings.quorum) == SLOPPY:
            known = self._sloppy[settings.replicas].get(partition)
            replicas = known or self._sloppy_set(partition, settings.rule)
        else:
            known = self._strict[settings.replicas].get(partition)
            replicas = known or self._strict_set(partition, settings.rule)
        return Place(token, storage_key(token, namespace, data), replicas, settings)

    def tag_range(self, tag: bytes) -> tuple[bytes, bytes]:
        """The storage keys [start, end) of the keys with this hash tag, all of one partition."""
        return tag_range(self._place_hash, self.topology.token_seed, tag)

    def _strict_set(self, partition: int, rule: PlacementRule) -> ReplicaSet:
        owners = self.placement.owners(partition, rule)
        made = ReplicaSet(epoch=self.epoch, natural=owners)
        self._strict[rule.copies][partition] = made
        return made

    def _sloppy_set(self, partition: int, rule: PlacementRule) -> ReplicaSet:
        owners = self.placement.owners(partition, rule)
        others = self.placement.preference(partition, rule)[len(owners) :]
        made = ReplicaSet(epoch=self.epoch, natural=owners, fallbacks=others)
        self._sloppy[rule.copies][partition] = made
        return made

    def owners_of(self, key: bytes) -> tuple[int, ...]:
        """The owners of the storage key `key`; none if its namespace is gone."""
        settings = self.settings_of(key)
        if settings is None:
            return ()
        placement = self.placement
        return placement.owners(placement.partition(key[1:9]), settings.rule)

    def settings_of(self, key: bytes) -> NamespaceSettings | None:
        """Of the namespace of the storage key `key`; None if that is gone."""
        return self.catalog.namespaces.get(namespace_of(key).decode())

    def knows(self, key: bytes) -> bool:
        """True if the namespace of the storage key `key` exists."""
        return key[9 : key.index(0, 9)] in self._known

    def is_volatile(self, key: bytes) -> bool:
        """True if the record at the storage key `key` is kept in memory only, while it fits."""
        return bool(self._volatile) and namespace_of(key) in self._volatile

    def owned(self, rule: PlacementRule) -> list[int]:
        """The partitions that this node owns under `rule`."""
        owners, local = self.placement.owners, self.local
        return [p for p in range(self.topology.partitions) if local in owners(p, rule)]

    def owns(self, partition: int, rule: PlacementRule) -> bool:
        """True if this node is an owner of `partition` under `rule`."""
        return self.local in self.placement.owners(partition, rule)

    def is_shared(self, token: bytes) -> bool:
        """True if this node shares records of the token with other owners."""
        partition = self.placement.partition(token)
        return any(rule.copies > 1 and self.owns(partition, rule) for rule in self.rules)

    def span_of_partition(self, token: bytes) -> TokenSpan:
        """All tokens of the partition that has `token`."""
        return of_partition(self.placement.partition(token), self.topology.partition_bits)

    # Other nodes

    def others(self) -> list[int]:
        """The numbers of all nodes but this one."""
        return [node for node in self.topology.numbers if node != self.local]

    def partners(self) -> set[int]:
        """The nodes that own some partition together with this one."""
        partners: set[int] = set()
        for rule in {settings.rule for settings in self.catalog.namespaces.values()}:
            for partition in self.owned(rule):
                partners.update(self.placement.owners(partition, rule))
        return partners - {self.local}

    def name(self, node: int) -> str:
        """The name of the node. Raises ConfigError if there is none with that number."""
        return self.topology.node(node).name

    @property
    def local_name(self) -> str:
        """The name of this node."""
        return self.name(self.local)

    def names(self, nodes: Iterable[int]) -> list[str]:
        """The names of `nodes`, in that order."""
        return [self.name(node) for node in nodes]

    def too_few(
        self, what: str, needed: int, got: list[int], owners: tuple[int, ...]
    ) -> QuorumError:
        """The error for an operation that cannot reach its quorum; nothing was changed.

        `what`: the operation, as a verb. `got`: the nodes that are up, or have answered.
        """
        names = self.names(owners)
        return QuorumError(
            f"Too few replicas to {what}: {needed} needed, {len(got)} of {len(owners)} available "
            f"({', '.join(names)}). Retry when more are up, or ask with a lower quorum.",
            needed=needed,
            got=len(got),
            replicas=names,
        )

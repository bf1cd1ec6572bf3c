"""The ledger of rounds: which partition was last compared with whom, and when.

A round of a partition is complete when this node has compared it with each other owner, and
what differed has been repaired.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kvorum.replication.site import Site


class _Entry(NamedTuple):
    began: float
    ended_ms: int


class Rounds:
    __slots__ = ("_entries", "_repaired", "_site")

    def __init__(self, site: Site) -> None:
        """Of the partitions that this node owns together with others."""
        self._site = site
        self._entries: dict[tuple[int, int], dict[int, _Entry]] = {}
        self._repaired: dict[tuple[int, int], int] = {}
        for replicas in site.trees.replica_counts:
            for partition in range(site.topology.partitions):
                owners = site.placement.owners(partition, replicas)
                if site.local in owners and len(owners) > 1:
                    self._entries[replicas, partition] = {}

    def shared_with(self, node: int, replicas: int) -> list[int]:
        """The partitions that `node` and this node both own, of those with `replicas`."""
        owners = self._site.placement.owners
        return [p for r, p in self._entries if r == replicas and node in owners(p, r)]

    def peers(self, replicas: int, partition: int) -> list[int]:
        """The other owners of a partition that this node owns."""
        owners = self._site.placement.owners(partition, replicas)
        return [node for node in owners if node != self._site.local]

    def note(self, replicas: int, partition: int, node: int, began: float) -> None:
        """Compared with `node`, in an exchange that began at `began`."""
        entry = _Entry(began, self._site.runtime.wall_ms())
        self._entries[replicas, partition][node] = entry

    def note_repaired(self, replicas: int, partition: int, count: int) -> None:
        place = (replicas, partition)
        self._repaired[place] = self._repaired.get(place, 0) + count

    def began_since(self, replicas: int, partition: int, since: float) -> bool:
        """True if a whole round of the partition began after `since` and is complete."""
        compared = self._entries.get((replicas, partition), {})
        return all(
            node in compared and compared[node].began > since
            for node in self.peers(replicas, partition)
        )

    def status(self) -> list[dict[str, Any]]:
        return [
            {
                "partition": partition,
                "replicas": replicas,
                "last_round_ms": self._complete_ms(replicas, partition),
                "repaired": self._repaired.get((replicas, partition), 0),
            }
            for replicas, partition in self._entries
        ]

    def _complete_ms(self, replicas: int, partition: int) -> int | None:
        compared = self._entries[replicas, partition]
        if len(compared) < len(self.peers(replicas, partition)):
            return None
        return min(entry.ended_ms for entry in compared.values())

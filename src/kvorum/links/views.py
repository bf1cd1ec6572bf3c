"""The epochs of a cluster as links need them: which node is behind, and what differs for it.

Each side tells its epoch when a link opens, and with each frame the epoch that it was made in. The
node that is ahead sends the other what it lacks, if it can. Until both are at one epoch, the
partitions whose owners differ decide which requests are refused (`fence.py`).

`Views` is the port. In a cluster whose members are listed in a file there is nothing to send: an
operator gives every node the new file, one after another. `StaticView` is for these.
"""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

import msgspec

from kvorum.links.fence import ChangedPartitions, Partitioning
from kvorum.model.topology import Topology
from kvorum.wire.messages import ViewUpdate

DIGEST_BYTES: Final = 8


class Views(Protocol):
    """What a node knows of the cluster's epochs. `Peers.advance` tells links of a change."""

    @property
    def epoch(self) -> int:
        """The one this node is at."""

    @property
    def advice(self) -> str:
        """A sentence: what an operator can do where two nodes stay at different epochs."""

    def on_epoch(self, node: int, epoch: int) -> None:
        """`node` is at `epoch`: told when a link opens, and when `node` has gone on."""

    def lacking(self, epoch: int) -> bytes | None:
        """What a node lacks that is at `epoch`, an earlier one; None if nothing can be sent."""

    def on_update(self, node: int, update: ViewUpdate) -> None:
        """`node` has sent what this one lacks."""

    def changed(self, epoch: int, members: str) -> ChangedPartitions:
        """The partitions whose owners differ between this node's epoch and `epoch`. `members`: the
        digest that a node has greeted with, of the members at the epoch it had then.
        """


class StaticView:
    """The epoch of the cluster file, for good. Of another: whether its members are the same."""

    advice: Final = "Give both nodes the same cluster file."

    def __init__(self, topology: Topology) -> None:
        partitioning = Partitioning(
            topology.partition_bits, topology.token_hash, topology.token_seed
        )
        self.epoch = topology.epoch
        self._members = members_digest(topology)
        self._none = ChangedPartitions(partitioning, ())
        self._all = ChangedPartitions(partitioning, range(topology.partitions))

    def on_epoch(self, node: int, epoch: int) -> None:
        """Nothing follows: an operator brings this node the other file."""

    def lacking(self, epoch: int) -> bytes | None:
        return None

    def on_update(self, node: int, update: ViewUpdate) -> None:
        """Nothing follows: this node's members are those of its file."""

    def changed(self, epoch: int, members: str) -> ChangedPartitions:
        return self._none if epoch == self.epoch or members == self._members else self._all


def members_digest(topology: Topology) -> str:
    """16 hex digits, equal where the same nodes own the same partitions, in whatever epoch."""
    members = [(n.number, n.name, n.dc, n.rack, n.host, float(n.weight)) for n in topology.nodes]
    return hashlib.blake2b(msgspec.json.encode(members), digest_size=DIGEST_BYTES).hexdigest()

"""Inventories: the keys and digests of a replica in a range, and how those of two replicas differ.

An inventory lists keys and digests, not records. A damaged record is not listed, so the other
side's sound one comes in its place. To take an inventory, all records of the range are read, and
the hash tree is checked by them: so a leaf that went wrong, for whatever reason, makes two replicas
compare a handful of keys once, and not for ever. Versions that have expired are removed first: else
replicas would differ only because one has been swept before the other.

    asker     [start .............. end)  its keys there, at most ENTRIES_MAX
    replica   [start ....... upto)        its own, at most as many: compared that far
              the asker goes on from `upto`
"""

from __future__ import annotations

from typing import Final

from kvorum.model.errors import ProtocolError
from kvorum.model.keys import is_record_key
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import digest, is_sound
from kvorum.replica.local_replica import LocalReplica
from kvorum.replica.pages import read_page
from kvorum.replica.removal import remove_expired
from kvorum.wire.messages import Entries, Inventory, KeyDiff

ENTRIES_MAX: Final = 512


class Stock:
    """Takes inventories of the records of one node."""

    def __init__(self, replica: LocalReplica) -> None:
        self._replica = replica

    def take(self, rule: PlacementRule, start: bytes, end: bytes) -> tuple[Entries, bytes]:
        """The entries under `rule` from `start` on, and the storage key before which they end:
        `end`, or an earlier one if there are too many. Raises StorageError.
        """
        replica = self._replica
        page = read_page(replica, start, end, ENTRIES_MAX)
        upto = page.pairs[-1][0] + b"\0" if page.more else end
        records = remove_expired(replica, replica.trees.those_under(rule, page.pairs))
        forest = replica.trees.forest(rule)
        if forest is not None and replica.trees.built:  # else the walk will count them
            replica.counters.leaves_corrected += forest.correct(start, upto, records)
        entries = []
        for key, data in records:
            if is_sound(key, data):
                entries.append((key, digest(data)))
            else:
                replica.counters.corrupt_records += 1
        return entries, upto

    def against(self, inventory: Inventory, rule: PlacementRule) -> KeyDiff:
        """How this node's records under `rule` differ from `inventory`. Raises StorageError."""
        own, upto = self.take(rule, inventory.start, inventory.end)
        theirs = {key: mark for key, mark in inventory.entries if key < upto}
        mine = dict(own)
        lacking = [key for key in theirs if key not in mine]
        other = [(key, mark) for key, mark in own if theirs.get(key) != mark]
        return KeyDiff(inventory.op, upto, lacking, other)


def check_entries(entries: Entries, start: bytes, end: bytes) -> None:
    """Raises ProtocolError unless `entries` are few, in order, and in start <= key < end."""
    if len(entries) > ENTRIES_MAX:
        raise ProtocolError(
            f"A message lists {len(entries)} entries, and {ENTRIES_MAX} are the most."
        )
    previous = b""
    for key, mark in entries:
        if not (is_record_key(key) and previous < key and start <= key < end):
            raise ProtocolError(
                f"The storage key {key[:9]!r} after {previous[:9]!r} is out of order or range; the "
                f"range begins at {start[:9]!r}."
            )
        if len(mark) != 8:
            raise ProtocolError(f"A digest has 8 bytes, and one of {len(mark)} came.")
        previous = key

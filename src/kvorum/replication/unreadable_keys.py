"""What a page of a listing leaves out, because too few replicas can vouch for it."""

from __future__ import annotations

from kvorum.cluster.view import ClusterView
from kvorum.model.keys import TOKEN_END, split_storage_key, token_range
from kvorum.model.request import Unreadable
from kvorum.replication.vouching import Vouching


class UnreadableKeys:
    """The records that cannot be read, each named once. `found`: all so far.

    `wanted`: how the storage keys go on behind the token that the listing is about.
    """

    def __init__(self, view: ClusterView, wanted: bytes) -> None:
        self.found: list[Unreadable] = []
        self._view = view
        self._wanted = wanted
        self._named: set[bytes] = set()
        """Where the ranges begin that are named."""

    def name(self, partition: int, storage_key: bytes, vouching: Vouching) -> None:
        """Add the record at `storage_key`, for which `vouching` finds too few nodes."""
        if storage_key.startswith(self._wanted, TOKEN_END):
            self._named.add(storage_key[:TOKEN_END])
            nodes = self._view.names(vouching.silent(storage_key))
            key = split_storage_key(storage_key)[1]
            self.found.append(Unreadable(partition, nodes, key))

    def name_unknown(self, partition: int, vouching: Vouching, upto: bytes) -> None:
        """Add the ranges that begin up to `upto` (all if it is b"") for which `vouching` finds too
        few nodes, where no replica has told the key.
        """
        for start, end, silent in vouching.unvouched():
            if (upto and start > upto) or start in self._named:
                continue
            self._named.add(start)
            is_token = (start, end) == token_range(start[1:])
            first, last = start[1:9].hex(), None if is_token else end[1:9].hex()
            nodes = self._view.names(silent)
            self.found.append(Unreadable(partition, nodes, token=first, last_token=last))

"""The identities of a node's peers: the ids of their data, by which a lost disk is noticed."""

from __future__ import annotations

from kvorum.model.errors import StorageError
from kvorum.replication.replicator import Replicator
from kvorum.storage.directory import DataDirectory


class PeerIdentities:
    """Notes the ids of the peers' data, and tells the replicator of a peer that has lost it."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self.replicator: Replicator

    def __call__(self, node: int, node_id: str, name: str) -> None:
        if self._directory.knew_another(node_id, name):
            # Its new id is noted only when the note of its loss is durable.
            self.replicator.on_peer_replaced(node, self._remember, (node_id, name))
        else:
            self._directory.remember(node_id, name)

    def _remember(self, who: tuple[str, str], error: StorageError | None) -> None:
        if error is None:
            self._directory.remember(*who)

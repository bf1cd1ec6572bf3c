"""Admission: what a node says of itself to others, and which of them it links with.

The greeting must fit this node's own (`wire/handshake.py`). Besides, it must fit what this node
knows of the others: a name of the cluster file, at its address and with its number, that no process
with another data directory uses at the moment. Under TLS, it must be the one that the other side's
certificate names.
"""

from __future__ import annotations

from collections.abc import Mapping

from kvorum.links.driver import Identity
from kvorum.links.link import Link
from kvorum.links.peer import Peer
from kvorum.links.views import members_digest
from kvorum.model.topology import Topology
from kvorum.wire.handshake import Hello, colliding_ids, same_actors, veto


def greeting(topology: Topology, local: int, identity: Identity) -> Hello:
    """What the node with the number `local` greets others with."""
    return Hello(
        cluster=topology.cluster,
        token_hash=topology.token_hash,
        token_seed=topology.token_seed,
        partitions=topology.partitions,
        epoch=topology.epoch,
        fingerprint=topology.fingerprint(),
        members=members_digest(topology),
        node=topology.node(local).name,
        number=local,
        node_id=identity.node_id,
        incarnation=identity.incarnation,
    )


def refusal(ours: Hello, theirs: Hello, link: Link, peers: Mapping[int, Peer]) -> str | None:
    """Why this node refuses a link to `theirs`, as a sentence, or None. `peers`: by number."""
    return (
        _uncertified(theirs, link)
        or veto(ours, theirs)
        or _contradiction(ours, theirs, link, peers)
    )


def _uncertified(theirs: Hello, link: Link) -> str | None:
    """What in `theirs` is not what the certificate of the other side says; None without one."""
    certified = link.certified
    if certified is None:
        return None
    if (certified.cluster, certified.kind, certified.name) == (theirs.cluster, "node", theirs.node):
        return None
    return (
        f"Node {theirs.node!r} of cluster {theirs.cluster!r} has shown the certificate "
        f"{certified.uri}. Start it with the certificate that was issued for it."
    )


def _contradiction(ours: Hello, theirs: Hello, link: Link, peers: Mapping[int, Peer]) -> str | None:
    """What in `theirs` contradicts what is known of the other nodes."""
    peer = next((peer for peer in peers.values() if peer.name == theirs.node), None)
    if peer is None:
        names = ", ".join(peer.name for peer in peers.values())
        return (
            f"The cluster file of {ours.node} has no other node {theirs.node!r}, only {names}. "
            "Start that node under one of these names."
        )
    if link.dialed and peer.node != link.node:
        name = peers[link.node].name
        return (
            f"At the address of node {name!r} answers node {theirs.node!r}. Correct the addresses "
            "in the cluster file."
        )
    if peer.node != theirs.number:
        return (
            f"Node {theirs.node!r} has the number {peer.node} in the cluster file of {ours.node}, "
            f"and {theirs.number} in its own. Give both nodes the same cluster file."
        )
    if peer.linked and peer.node_id != theirs.node_id:
        return (
            f"Node {theirs.node!r} is connected with the node id {peer.node_id}, and a second "
            f"process with the node id {theirs.node_id} uses its name. Stop one of the two."
        )
    for other in peers.values():
        if other is not peer and same_actors(other.node_id, theirs.node_id):
            return colliding_ids(theirs.node, theirs.node_id, other.name, other.node_id)
    return None

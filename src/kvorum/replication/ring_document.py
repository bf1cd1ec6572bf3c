"""GET /ring: how the partitions are shared, and all that a client needs to find a key's owners.

Placement is a pure function of the topology (`model/placement.py`), so what goes into it is
told, not what comes out: `epoch`, `partitions`, `token_hash`, `token_seed`, the nodes with
their labels and weights, and the replicas of each namespace. `node` is who answers: a client
knows its servers by that, for the addresses it has may be others than the topology's.

None of it is secret. The seed makes rings differ, it protects nothing: every node, replica
and tool needs it, and the fingerprint that is sent in the clear covers it.
"""

from __future__ import annotations

import msgspec

from kvorum.cluster.view import ClusterView
from kvorum.documents.ring import Ring, RingNamespace, RingNode
from kvorum.model.ring import token_counts
from kvorum.model.topology import DEFAULT_NAMESPACE


def ring_document(view: ClusterView) -> Ring:
    """`replicas`, shares and balance are of the default namespace; shares, of all copies."""
    topology, namespaces = view.topology, view.catalog.namespaces
    rule = namespaces[DEFAULT_NAMESPACE].rule
    replicas, balance = rule.copies, view.placement.balance(rule)
    copies = topology.partitions * replicas
    tokens = token_counts([spec.weight for spec in topology.nodes])
    return Ring(
        node=view.local_name,
        cluster=topology.cluster,
        epoch=topology.epoch,
        token_hash=topology.token_hash,
        token_seed=topology.token_seed,
        partitions=topology.partitions,
        replicas=replicas,
        namespaces={
            name: RingNamespace(replicas=settings.replicas, hash_tags=settings.hash_tags)
            for name, settings in namespaces.items()
        },
        nodes=[
            RingNode(
                **msgspec.structs.asdict(spec),
                tokens=tokens[place],
                primary=balance.led[place],
                replica=balance.owned[place] - balance.led[place],
                share=balance.owned[place] / copies,
                fair_share=balance.fair_owned[place] / copies,
            )
            for place, spec in enumerate(topology.nodes)
        ],
        balance=balance.heaviest_owned,
    )

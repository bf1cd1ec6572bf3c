"""The simulated cluster as its parameters describe it: topology, pace of gossip, first disks."""

from __future__ import annotations

import msgspec

from kvorum.cluster.membership import DEFAULTS
from kvorum.cluster.settings import MembershipSettings
from kvorum.model.topology import NodeSpec, Topology
from kvorum.sim.parameters import Parameters
from kvorum.storage.identity import Facts, Identity

_PARTITIONS = 16


def topology_of(parameters: Parameters) -> Topology:
    nodes = tuple(
        NodeSpec(name=f"n{i}", http=f"127.0.0.1:{1000 + i}", peer=f"127.0.0.1:{2000 + i}")
        for i in range(parameters.nodes)
    )
    return Topology(
        cluster="simulated",
        nodes=nodes,
        partitions=_PARTITIONS,
        token_seed=parameters.seed % (1 << 32),
        namespaces=parameters.namespaces,
    )


def membership_of(parameters: Parameters) -> MembershipSettings:
    """The defaults, if nodes gossip as often as they do here."""
    times = {
        field: getattr(DEFAULTS, field) * parameters.heartbeat_s / DEFAULTS.interval_s
        for field in DEFAULTS.__struct_fields__
        if field.endswith("_s")
    }
    return msgspec.structs.replace(DEFAULTS, **times)


def first_identity(topology: Topology, node: int, disks: int = 0) -> Identity:
    """Of the node's first disk, or of one that comes after `disks` others of the cluster."""
    facts = Facts(
        topology.cluster,
        topology.nodes[node].name,
        topology.partitions,
        topology.token_hash,
        topology.token_seed,
    )
    node_id = f"{node + 1 + 4096 * disks:011x}".ljust(32, "0")
    return Identity(facts, node_id, incarnation=1, counter=0, clean=False, names={})

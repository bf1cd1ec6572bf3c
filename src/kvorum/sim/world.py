"""The world: a cluster of real nodes on simulated time, network and disks.

This is the simulator's composition root, as `node.py` is the real one's: the same
`Replicator` is built here on other ports. A node has lives; between them only its disk and
its wall clock go on.

    start -> (crash | stop) -> start -> ...
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from kvorum.cluster.clocks import ROUND_TRIP_S_MAX, SKEW_MS
from kvorum.cluster.membership import DEFAULTS
from kvorum.cluster.settings import MembershipSettings
from kvorum.cluster.view import ClusterView
from kvorum.journal.entries import OpenEntries
from kvorum.journal.journaled_store import JournaledStore
from kvorum.links.peers import Peers
from kvorum.model.errors import StorageError
from kvorum.model.keys import TOKEN_HASHES, encode_key, storage_key
from kvorum.model.placement import Placement
from kvorum.model.prefixes import RECORD
from kvorum.model.record import decode, encode, expire
from kvorum.model.request import Request, Result
from kvorum.model.topology import NamespaceSettings, NodeSpec, Topology
from kvorum.replication.replicator import Incarnation, Replicator
from kvorum.sim.disk import Disk, DiskStore
from kvorum.sim.disk_log import DiskLog
from kvorum.sim.life import Life
from kvorum.sim.network import Network
from kvorum.sim.parameters import Parameters, stream
from kvorum.sim.scheduler import EPOCH_MS, NodeRuntime, Scheduler
from kvorum.sim.trace import Trace
from kvorum.sim.wires import LIMITS, Wires
from kvorum.storage.identity import Facts, Identity
from kvorum.storage.recovery_note import NOTE, WHOLE
from kvorum.storage.routed import RoutedStore, volatile_stores

_PARTITIONS = 16
_EVENTS_PER_OPERATION_MAX = 1000
"""Some 25 are usual."""
_HEALTHY_SYNC_S_MEAN = 0.001
_SWEEPS = 2
_FAR_MS = 1 << 53


class PeerIdentities:
    """Notes on a node's disk who its peers are, and tells its replicator of one that comes with
    another disk; as the real node does.
    """

    __slots__ = ("_disk", "replicator")

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.replicator: Replicator

    def __call__(self, node: int, node_id: str, _name: str) -> None:
        if self._disk.known.setdefault(node, node_id) != node_id:
            self.replicator.on_peer_replaced(node, self._remember, (node, node_id))

    def _remember(self, who: tuple[int, str], error: StorageError | None) -> None:
        if error is None:
            self._disk.known[who[0]] = who[1]


class World:
    __slots__ = (
        "_ack_listeners",
        "_disk_rng",
        "_down_listeners",
        "_ever_down",
        "_ever_wrong",
        "_membership",
        "_offsets_seen",
        "_parameters",
        "_placement",
        "clock_offsets_ms",
        "disks",
        "lives",
        "network",
        "scheduler",
        "topology",
        "trace",
        "wiped",
        "wires",
        "writes_forgotten",
        "wrong_clocks",
    )

    def __init__(self, parameters: Parameters, sink: Callable[[str], object] | None = None) -> None:
        nodes, seed = parameters.nodes, parameters.seed
        self._parameters = parameters
        self.scheduler = Scheduler(_EVENTS_PER_OPERATION_MAX * (parameters.operations + 100))
        self.trace = Trace(self.scheduler, sink)
        self.network = Network(
            self.scheduler, stream(seed, "network"), parameters.conditions, nodes
        )
        self.wires = Wires(self.network, stream(seed, "links"), self.trace, nodes)
        self.topology = _topology(parameters)
        self._placement = Placement(self.topology)
        self._membership = _faster(parameters.heartbeat_s)
        self._disk_rng = stream(seed, "disks")
        clocks = stream(seed, "clocks")
        skew = parameters.clock_skew_ms
        self.clock_offsets_ms = [clocks.randint(-skew, skew) for _ in range(nodes)]
        self._offsets_seen = set(self.clock_offsets_ms)
        self.disks = [
            # The cluster is no new one: when the first lives begin it has long been formed.
            Disk(_first_identity(self.topology, node), sync_s_mean, {NOTE: WHOLE})
            for node, sync_s_mean in enumerate(parameters.sync_s_mean)
        ]
        self.lives: list[Life | None] = [None] * nodes
        self._ever_down = False
        self._ever_wrong = False
        self.writes_forgotten = 0
        self.wiped: set[int] = set()
        self.wrong_clocks: set[int] = set()
        """The nodes whose clocks show what no node may go by."""
        self._down_listeners: list[Callable[[int], object]] = []
        self._ack_listeners: list[Callable[[str, str], object]] = []

    # Lives

    def start(self, node: int) -> None:
        disk = self.disks[node]
        self.wrong_clocks.discard(node)
        identity = disk.begin_life()
        # The actor as well: a node with another disk must not draw its first life's numbers again.
        purpose = f"node {node} life {disk.lives} of {identity.actor}"
        runtime = NodeRuntime(
            self.scheduler, stream(self._parameters.seed, purpose), self.clock_offsets_ms[node]
        )
        store = DiskStore(disk, runtime, self._disk_rng)
        log = DiskLog(disk, runtime, self._disk_rng)
        journal = self._journaled(store, log, runtime)
        routed = RoutedStore(journal, volatile_stores(self.topology.namespaces, runtime))
        plug, meet = self.wires.attach(node, runtime), PeerIdentities(disk)
        peers = plug.peers = Peers(self.topology, node, identity, plug, meet, LIMITS)
        replicator = meet.replicator = peers.receiver = Replicator(
            ClusterView(self.topology, node, placement=self._placement),
            runtime,
            peers,
            routed,
            Incarnation(identity.actor, identity.counter, identity.crashed),
            membership=self._membership,
            upkeep=self._parameters.upkeep,
            siblings=self._parameters.siblings,
        )
        store.on_damaged = partial(runtime.call_soon, replicator.on_damaged)
        self.lives[node] = Life(replicator, runtime, routed, journal, log, store)
        self.trace.note(f"n{node} starts as #{identity.incarnation} at {identity.counter}")
        replicator.start()

    def _journaled(self, store: DiskStore, log: DiskLog, runtime: NodeRuntime) -> JournaledStore:
        journal = JournaledStore(
            store, log, OpenEntries(), runtime, self._parameters.segments, _must_not_fail
        )
        wrong = journal.replay()
        assert wrong is None, wrong
        return journal

    def crash(self, node: int) -> None:
        """The process is killed, or the power fails."""
        life = self._end_life(node)
        if life is not None:
            forgotten = life.crash()
            self.writes_forgotten += forgotten
            self.trace.note(f"n{node} crashed, forgot {forgotten} writes")

    def stop(self, node: int) -> None:
        """The process is shut down in order, if its store still lets it."""
        life = self.lives[node]
        if life is not None and life.failed:
            self.crash(node)
        elif life is not None:
            self._end_life(node)
            life.stop()
            self.trace.note(f"n{node} stopped")

    def wipe(self, node: int) -> None:
        """The disk of `node`, which is down, is replaced by an empty one."""
        self.wiped.add(node)
        old = self.disks[node]
        identity = _first_identity(self.topology, node, len(self.wiped))
        self.disks[node] = Disk(identity, old.sync_s_mean, {})
        self.trace.note(f"n{node} gets an empty disk")

    def fail_disk(self, node: int) -> None:
        """Nothing that `node` writes becomes durable from now on."""
        self.trace.note(f"n{node} disk fails")
        self._life(node).fail_disk()

    def set_full(self, node: int, full: bool) -> None:
        """The disk of `node` has no room for new data, or has again."""
        self.trace.note(f"n{node} disk {'is full' if full else 'has room'}")
        self.disks[node].full = full

    def records(self, node: int) -> list[bytes]:
        """The records on the disk of `node` that are damaged, or may be without having lost the
        only one: all owners of the key, this node being one, hold some record of it.
        """
        keys = sorted(key for key in self.disks[node].content if key[:1] == RECORD)
        return [key for key in keys if self._is_everywhere(key, node)]

    def _is_everywhere(self, key: bytes, node: int) -> bool:
        owners = self._owners(key)
        return node in owners and all(key in self.disks[owner].content for owner in owners)

    def damage(self, node: int, key: bytes) -> None:
        """The record at the storage key `key` on the disk of `node` does not read any more."""
        self.trace.note(f"n{node} damaged: token {key[1:9].hex()}")
        self._life(node).store.damage(key)

    def misread(self, node: int) -> None:
        self.trace.note(f"n{node} will fail to read a record")
        self._life(node).store.misread()

    def _end_life(self, node: int) -> Life | None:
        life = self.lives[node]
        if life is not None:
            self._ever_down = True
            life.runtime.stopped = True
            self.lives[node] = None
            self.wires.detach(node)
            for listener in self._down_listeners:
                listener(node)
        return life

    def set_clock(self, node: int, offset_ms: int) -> None:
        """Set how far the wall clock of `node` is ahead of the true time."""
        self.clock_offsets_ms[node] = offset_ms
        self._offsets_seen.add(offset_ms)
        self.wrong_clocks.discard(node)
        life = self.lives[node]
        if life is not None:
            life.runtime.clock_offset_ms = offset_ms

    def spoil_clock(self, node: int, ahead_ms: int) -> None:
        """Have the wall clock of `node` show something that no node may go by. Until it is put
        right, or the node starts again: it could not know better then.
        """
        self._ever_wrong = True
        self.wrong_clocks.add(node)
        self.runtime(node).clock_offset_ms += ahead_ms
        self.trace.note(f"n{node} has a clock that is {ahead_ms} ms wrong")

    def right_clock(self, node: int) -> None:
        self.wrong_clocks.discard(node)
        life = self.lives[node]
        if life is not None:
            life.runtime.clock_offset_ms = self.clock_offsets_ms[node]

    def has_compared_clocks(self, node: int) -> bool:
        """True if `node` has heard of every other node's clock."""
        return len(self._life(node).replicator.clocks.ahead_ms()) == len(self.lives) - 1

    @property
    def clocks_agree(self) -> bool:
        """True if no node knows of a clock that is away from its own."""
        known = [life.replicator.clocks.ahead_ms() for life in self.lives if life]
        return all(abs(by) <= SKEW_MS for ahead in known for by in ahead.values())

    def heal(self) -> None:
        """Networks, clocks and disks work as they should from now on, and every node is up."""
        self.network.heal()
        for node in list(self.wrong_clocks):
            self.right_clock(node)
        for node, disk in enumerate(self.disks):
            disk.sync_s_mean = min(disk.sync_s_mean, _HEALTHY_SYNC_S_MEAN)
            disk.full = False
            life = self.lives[node]
            if life is not None:
                life.store.heal()
            if life is not None and life.failed:
                self.crash(node)
            if self.lives[node] is None:
                self.start(node)

    def scrub(self) -> None:
        for life in self.lives:
            if life is not None:
                life.store.scrub()

    def when_down(self, listener: Callable[[int], object]) -> None:
        """Have `listener(node)` called whenever a node goes down."""
        self._down_listeners.append(listener)

    def when_acked(self, listener: Callable[[str, str], object]) -> None:
        """Have `listener(namespace, key)` called whenever a write of `key` was acknowledged."""
        self._ack_listeners.append(listener)

    # For clients

    def up(self) -> list[int]:
        return [node for node, life in enumerate(self.lives) if life is not None]

    def submit(self, node: int, request: Request, reply: Callable[[Result], object]) -> None:
        self._life(node).replicator.submit(request, reply)

    def acked(self, namespace: str, key: str) -> None:
        """A client says that a write of `key` was acknowledged."""
        for listener in self._ack_listeners:
            listener(namespace, key)

    def runtime(self, node: int) -> NodeRuntime:
        return self._life(node).runtime

    def settings(self, namespace: str) -> NamespaceSettings:
        return self.topology.namespaces[namespace]

    def keeps(self, namespace: str) -> bool:
        """True if nodes hold on to what they have of `namespace`, as far as disks do."""
        return not self._ever_down or self.settings(namespace).durability != "none"

    def views(self) -> tuple[int, int] | None:
        """What changes whenever some node changes its mind about another; None while they are not
        all connected and of one mind about all that are up.
        """
        lives = [life.replicator for life in self.lives if life is not None]
        counters = [replicator.membership_counters() for replicator in lives]
        changes = sum(c["suspicions"] + c["refutations"] for c in counters)
        if not self.wires.whole() or any(self._suspects(replicator) for replicator in lives):
            return None
        return self.wires.changes, changes

    def _suspects(self, replicator: Replicator) -> bool:
        """True if `replicator` suspects a node that is up."""
        return any(self.lives[node] is not None for node in replicator.suspects)

    # For whoever looks inside

    def settings_at(self, key: bytes) -> NamespaceSettings:
        """Of the namespace of the storage key `key`."""
        return self.settings(key[9 : key.index(0, 9)].decode())

    def owners(self, namespace: str, key: str) -> tuple[int, ...]:
        return self._place(namespace, key)[1]

    def stored(self, namespace: str, key: str) -> dict[int, bytes | None]:
        """What the owners of `key` that are up hold of it.

        What expires does not count, for some expire it before others; nor does a tombstone: while
        it is collected, some have it and some do not.
        """
        storage_key, owners = self._place(namespace, key)
        lives = ((node, self.lives[node]) for node in owners)
        held = {node: life.held(storage_key) for node, life in lives if life is not None}
        return {node: data and _lasting(storage_key, data) for node, data in held.items()}

    def damaged(self, namespace: str, key: str) -> list[int]:
        """The nodes that are up and hold a damaged record of `key`."""
        storage_key, _ = self._place(namespace, key)
        lives = enumerate(self.lives)
        return [node for node, life in lives if life and life.is_damaged(storage_key)]

    def values(self, namespace: str, key: str) -> dict[int, tuple[bytes, ...]]:
        """The values of `key` in the stores of all nodes that are up."""
        storage_key, _ = self._place(namespace, key)
        found = {}
        for node, life in enumerate(self.lives):
            data = None if life is None else life.held(storage_key)
            if data is not None:
                found[node] = tuple(v.value for v in decode(storage_key, data).versions)
        return found

    def expired(self, namespace: str, key: str) -> dict[int, int]:
        """How many versions of `key` each owner that is up should have expired by now."""
        storage_key, owners = self._place(namespace, key)
        found = {}
        for node in owners:
            life = self.lives[node]
            data = None if life is None else life.held(storage_key)
            if life is not None and data is not None and life.replicator.clocks.may_remove:
                record = decode(storage_key, data)
                left = expire(record, life.runtime.wall_ms() - SKEW_MS - self._swept_in_ms)
                found[node] = len(record.versions) - len(left.versions)
        return found

    @property
    def skew_s(self) -> float:
        """How far apart any two clocks that nodes went by have been, whenever that was. One with a
        wrong clock goes by the others', as far as it knows what they show.
        """
        unsure_s = ROUND_TRIP_S_MAX / 2 if self._ever_wrong else 0.0
        return (max(self._offsets_seen) - min(self._offsets_seen)) / 1000 + unsure_s

    def slowest_ms(self, time: float) -> int:
        """What the slowest wall clock there has been would show at that time."""
        return EPOCH_MS + min(self._offsets_seen) + int(time * 1000)

    def fastest_ms(self, time: float) -> int:
        """What the fastest wall clock there has been would show at that time."""
        return EPOCH_MS + max(self._offsets_seen) + int(time * 1000)

    @property
    def _swept_in_ms(self) -> int:
        """A sweep begins, and has ended, so long after it is due."""
        return int(_SWEEPS * self._parameters.upkeep.sweep_s * 1000)

    def _life(self, node: int) -> Life:
        life = self.lives[node]
        if life is None:
            raise LookupError(f"wanted a node that is up, got n{node}; up are {self.up()}")
        return life

    def _place(self, namespace: str, key: str) -> tuple[bytes, tuple[int, ...]]:
        data = encode_key(key)
        token = TOKEN_HASHES[self.topology.token_hash](data, self.topology.token_seed)
        key_there = storage_key(token, namespace, data)
        return key_there, self._owners(key_there)

    def _owners(self, key: bytes) -> tuple[int, ...]:
        """Of the storage key `key`."""
        partition = self._placement.partition(key[1:9])
        return self._placement.owners(partition, self.settings_at(key).rule)


def _must_not_fail(error: StorageError) -> None:
    raise error


def _lasting(key: bytes, data: bytes) -> bytes | None:
    lasting = expire(decode(key, data), _FAR_MS)
    return encode(key, lasting) if lasting.versions else None


def _faster(heartbeat_s: float) -> MembershipSettings:
    """The defaults, if hearts beat so often."""
    times = {
        field: getattr(DEFAULTS, field) * heartbeat_s / DEFAULTS.interval_s
        for field in DEFAULTS.__struct_fields__
        if field.endswith("_s")
    }
    return msgspec.structs.replace(DEFAULTS, **times)


def _topology(parameters: Parameters) -> Topology:
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


def _first_identity(topology: Topology, node: int, disks: int = 0) -> Identity:
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

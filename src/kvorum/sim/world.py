"""The world: a cluster of real nodes on simulated time, network and disks.

This is the simulator's composition root, as `node/node.py` is the real one's: the same
`Replicator` is built here on other ports. A node has lives; between them only its disk and
its wall clock go on.

    start -> (crash | stop) -> start -> ...
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from kvorum.cluster.clocks import SKEW_MS
from kvorum.cluster.view import ClusterView
from kvorum.journal.journaled_store import JournaledStore
from kvorum.links.peers import Peers
from kvorum.model.errors import StorageError
from kvorum.model.placement import Placement
from kvorum.model.request import Failure, Listing, Request, Result, Selection
from kvorum.model.topology import NamespaceSettings
from kvorum.replica.local_replica import NOTHING_SHREDDED
from kvorum.replication.replicator import Incarnation, Replicator
from kvorum.replication.shared_security import SharedSecurity
from kvorum.sealing.key_admin import KeyAdmin
from kvorum.sim.clocks import WallClocks
from kvorum.sim.cluster import first_identity, membership_of, topology_of
from kvorum.sim.departures import Departures
from kvorum.sim.disk import Disk, DiskStore
from kvorum.sim.disk_log import DiskLog
from kvorum.sim.healers import Healing
from kvorum.sim.holdings import Holdings
from kvorum.sim.life import Life
from kvorum.sim.network import Network
from kvorum.sim.parameters import Parameters, stream
from kvorum.sim.scheduler import NodeRuntime, Scheduler
from kvorum.sim.security_disk import SecurityDisk
from kvorum.sim.stacks import OpenStack, SealedStack, Stack
from kvorum.sim.trace import Trace
from kvorum.sim.wires import LIMITS, Wires
from kvorum.storage.identity import Identity
from kvorum.storage.recovery_note import NOTE, WHOLE
from kvorum.storage.routed import RoutedStore, volatile_stores

_EVENTS_PER_OPERATION_MAX = 1500
"""Some 25 are usual."""
_HEALTHY_SYNC_S_MEAN = 0.001


class PeerIdentities:
    """Notes on a node's disk who its peers are; tells its replicator of one with another disk."""

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
    """The cluster of one run: its nodes, disks, clocks and wires."""

    def __init__(self, parameters: Parameters, sink: Callable[[str], object] | None = None) -> None:
        nodes, seed = parameters.nodes, parameters.seed
        self._parameters = parameters
        self.scheduler = Scheduler(_EVENTS_PER_OPERATION_MAX * (parameters.operations + 100))
        self.trace = Trace(self.scheduler, sink)
        self.network = Network(
            self.scheduler, stream(seed, "network"), parameters.conditions, nodes
        )
        self.wires = Wires(self.network, stream(seed, "links"), self.trace, nodes)
        self.topology = topology_of(parameters)
        self._placement = Placement(self.topology)
        self._membership = membership_of(parameters)
        self.healing = Healing(parameters.healers)
        self._disk_rng = stream(seed, "disks")
        self._security_rng = stream(seed, "security disks")
        self._keyrings = TemporaryDirectory(prefix="kvorum-sim-") if parameters.sealed else None
        clocks = stream(seed, "clocks")
        skew = parameters.clock_skew_ms
        self.clocks = WallClocks([clocks.randint(-skew, skew) for _ in range(nodes)])
        self.disks = [
            # The cluster is no new one: when the first lives begin it has long been formed.
            Disk(first_identity(self.topology, node), sync_s_mean, {NOTE: WHOLE})
            for node, sync_s_mean in enumerate(parameters.sync_s_mean)
        ]
        self.lives: list[Life | None] = [None] * nodes
        self.holdings = Holdings(
            self.topology, self._placement, self.lives, parameters.upkeep.sweep_s
        )
        self.departures = Departures(self.scheduler, self.lives, self.stop)
        self._ever_down = False
        self.writes_forgotten = 0
        self.wiped: set[int] = set()
        self._down_listeners: list[Callable[[int], object]] = []
        self._ack_listeners: list[Callable[[str, str], object]] = []

    # Lives

    def start(self, node: int) -> None:
        disk = self.disks[node]
        self.clocks.wrong.discard(node)
        identity = disk.begin_life()
        # The actor as well: a node with another disk must not draw its first life's numbers again.
        purpose = f"node {node} life {disk.lives} of {identity.actor}"
        runtime = NodeRuntime(
            self.scheduler, stream(self._parameters.seed, purpose), self.clocks.offsets_ms[node]
        )
        store = DiskStore(disk, runtime, self._disk_rng)
        log = DiskLog(disk, runtime, self._disk_rng)
        stack = self._stack(disk, store, runtime)
        journal = JournaledStore(
            stack.below,
            log,
            stack.entries,
            runtime,
            self._parameters.segments,
            _must_not_fail,
            stack.shred_horizon,
        )
        wrong = journal.replay()
        assert wrong is None, wrong
        kept = volatile_stores(self.topology.namespaces, runtime, self.topology.partition_bits)
        routed = RoutedStore(journal, kept)
        security = SecurityDisk(disk, runtime, self._security_rng)
        plug, meet = self.wires.attach(node, runtime), PeerIdentities(disk)
        peers = plug.peers = Peers(self.topology, node, identity, plug, meet, LIMITS)
        replicator = meet.replicator = peers.receiver = Replicator(
            ClusterView(self.topology, node, placement=self._placement),
            runtime,
            self.healing.transport(node, peers),
            routed,
            _incarnation(identity, stack),
            membership=self._membership,
            upkeep=self._parameters.upkeep,
            siblings=self._parameters.siblings,
            security=security,
        )
        if not self.healing.healers.hints:
            replicator.owner.hints.stop()
        stack.tend(replicator, journal)
        self.lives[node] = Life(
            replicator, identity.actor, runtime, routed, kept, journal, log, store, stack, security
        )
        self.trace.note(f"n{node} starts as #{identity.incarnation} at {identity.counter}")
        replicator.start()

    def _stack(self, disk: Disk, store: DiskStore, runtime: NodeRuntime) -> Stack:
        if self._keyrings is None:
            return OpenStack(store, runtime)
        directory = Path(self._keyrings.name, f"{disk.identity.actor >> 20:x}")
        directory.mkdir(exist_ok=True)
        return SealedStack(directory, self.topology, store, runtime, _must_not_fail)

    def close(self) -> None:
        """Let go of the files of the nodes' keyrings, if they have any."""
        if self._keyrings is not None:
            self._keyrings.cleanup()

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

    def leave(self, node: int, grace_s: float, then: Callable[[], object]) -> None:
        """The process is shut down as planned; `then` is called when that is done."""
        self.trace.note(f"n{node} leaves")
        self.departures.begin(node, grace_s, then)

    def wipe(self, node: int) -> None:
        """The disk of `node`, which is down, is replaced by an empty one."""
        self.wiped.add(node)
        old = self.disks[node]
        identity = first_identity(self.topology, node, len(self.wiped))
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
        stored = [self._records(node) for node in range(len(self.lives))]
        return [key for key in sorted(stored[node]) if self._is_everywhere(key, node, stored)]

    def _records(self, node: int) -> set[bytes]:
        """None of a sealed disk while `node` is down: nobody could open them."""
        life = self.lives[node]
        if life is not None:
            return set(life.stack.records())
        return set(self.disks[node].records()) if self._keyrings is None else set()

    def _is_everywhere(self, key: bytes, node: int, stored: list[set[bytes]]) -> bool:
        owners = self.holdings.owners_at(key)
        return node in owners and all(key in stored[owner] for owner in owners)

    def damage(self, node: int, key: bytes) -> None:
        """The record at the storage key `key` on the disk of `node` does not read any more."""
        self.trace.note(f"n{node} damaged: token {key[1:9].hex()}")
        self._life(node).stack.damage(key)

    def misread(self, node: int, times: int) -> None:
        self.trace.note(f"n{node} will fail to read a record {times} times")
        self._life(node).store.misread(times)

    # Keys, where records are sealed

    def rotate(self, node: int) -> None:
        """`node` seals with new keys from now on."""
        self.trace.note(f"n{node} rotates its keys")
        self._key_admin(node).rotate(None)

    def shred(self, node: int, namespace: str, before_ms: int) -> None:
        """`node` destroys the keys of `namespace`, and what was written up to that moment."""
        self.trace.note(f"n{node} shreds {namespace}")
        self._key_admin(node).shred(namespace, before_ms)

    def _key_admin(self, node: int) -> KeyAdmin:
        key_admin = self._life(node).stack.key_admin
        assert key_admin is not None, "its records are not sealed"
        return key_admin

    def _end_life(self, node: int) -> Life | None:
        life = self.lives[node]
        if life is not None:
            self._ever_down = True
            life.runtime.stopped = True
            self.lives[node] = None
            self.departures.ended(node)
            self.wires.detach(node)
            for listener in self._down_listeners:
                listener(node)
        return life

    def set_clock(self, node: int, offset_ms: int) -> None:
        """Set how far the wall clock of `node` is ahead of the true time."""
        self.clocks.set(node, offset_ms)
        life = self.lives[node]
        if life is not None:
            life.runtime.clock_offset_ms = offset_ms

    def spoil_clock(self, node: int, ahead_ms: int) -> None:
        """Have the wall clock of `node` show something that no node may go by. Until it is put
        right, or the node starts again: it could not know better then.
        """
        self.clocks.spoil(node)
        self.runtime(node).clock_offset_ms += ahead_ms
        self.trace.note(f"n{node} has a clock that is {ahead_ms} ms wrong")

    def right_clock(self, node: int) -> None:
        self.clocks.wrong.discard(node)
        life = self.lives[node]
        if life is not None:
            life.runtime.clock_offset_ms = self.clocks.offsets_ms[node]

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
        for node in list(self.clocks.wrong):
            self.right_clock(node)
        for node in self.up():
            if self.departures.is_leaving(node):
                self.stop(node)
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
                life.stack.scrub()

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
        answered = self.departures.asked(node)

        def on_reply(result: Result) -> None:
            answered()
            reply(result)

        self._life(node).replicator.submit(request, on_reply)

    def scan(
        self, node: int, selection: Selection, reply: Callable[[Listing | Failure], object]
    ) -> None:
        self._life(node).replicator.scan(selection, reply)

    def security(self, node: int) -> SharedSecurity:
        return self._life(node).replicator.security

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

    def _life(self, node: int) -> Life:
        life = self.lives[node]
        if life is None:
            raise LookupError(f"Node n{node} is down; those that are up: {self.up()}.")
        return life


def _incarnation(identity: Identity, stack: Stack) -> Incarnation:
    horizon = stack.shred_horizon
    shredded_since = NOTHING_SHREDDED if horizon is None else horizon.since_ms
    return Incarnation(identity.actor, identity.counter, identity.crashed, shredded_since)


def _must_not_fail(error: StorageError) -> None:
    raise error

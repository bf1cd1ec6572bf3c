"""A site: one node's place in the cluster, and all that its operations share.

Operations are objects with callbacks. Each is filed in `site.operations` under a number
that travels with its messages and comes back in the replies; it ends exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import methodcaller
from types import MappingProxyType
from typing import Any, Final, Protocol

from kvorum.cluster.clocks import Clocks
from kvorum.model.actor import is_same_node
from kvorum.model.errors import (
    ClockWrong,
    CorruptRecord,
    DiskFull,
    NamespaceNotFound,
    Overloaded,
    QuorumError,
    StorageError,
    UnknownWrite,
)
from kvorum.model.keys import TOKEN_HASHES, encode_key, storage_key
from kvorum.model.placement import Placement
from kvorum.model.record import (
    EMPTY,
    RECORD_BYTES_MAX,
    Context,
    Event,
    Record,
    decode,
    encode,
    is_sound,
    merge,
    shown,
    since,
)
from kvorum.model.spans import TokenSpan, of_partition
from kvorum.model.topology import NamespaceSettings, Topology
from kvorum.net.transport import Transport
from kvorum.replication.doubts import Doubts
from kvorum.replication.expiry import UINT64, Expiries
from kvorum.replication.graveyard import LAST_BYTE, Graveyard, is_tombstone
from kvorum.replication.pace import Pace
from kvorum.replication.speculation import Speculation
from kvorum.replication.trees import Trees
from kvorum.runtime.deadlines import Deadlines
from kvorum.runtime.ports import Runtime
from kvorum.storage.store import COLD, Done, Store

NOTHING_SHREDDED: Final[Mapping[bytes, int]] = MappingProxyType({})


class Operation(Protocol):
    """What the dispatcher and the deadlines may call on an operation under way."""

    @property
    def ended(self) -> bool: ...

    def on_deadline(self) -> None: ...

    def on_peer_lost(self, node: int) -> None: ...


class Place:
    """Where one key lives: token, storage key, owners in preference order, and settings.

    `preference`: who may be asked. The owners, and under a sloppy quorum all other nodes after
    them, in the order in which they stand in.
    """

    __slots__ = ("key", "owners", "preference", "settings", "token")

    def __init__(
        self,
        token: bytes,
        key: bytes,
        owners: tuple[int, ...],
        preference: tuple[int, ...],
        settings: NamespaceSettings,
    ) -> None:
        self.token = token
        self.key = key
        self.owners = owners
        self.preference = preference
        self.settings = settings


class Site:
    __slots__ = (
        "_last_op",
        "_on_outrun",
        "_place_hash",
        "_shredded_since",
        "_volatile",
        "actor",
        "actors",
        "clocks",
        "counter",
        "counters",
        "deadlines",
        "doubts",
        "expiries",
        "graveyard",
        "local",
        "operations",
        "outrun",
        "pace",
        "placement",
        "recovering",
        "runtime",
        "speculation",
        "store",
        "suspects",
        "tell",
        "topology",
        "transport",
        "trees",
    )

    def __init__(
        self,
        topology: Topology,
        placement: Placement,
        local: int,
        actor: int,
        counter: int,
        runtime: Runtime,
        store: Store,
        transport: Transport,
        clocks: Clocks,
        shredded_since: Mapping[bytes, int],
        on_outrun: Callable[[Event], object],
    ) -> None:
        """`on_outrun`: others know a write of this node that it does not, see `disowns`."""
        self.topology = topology
        self.placement = placement
        self.local = local
        self.actor = actor
        self.counter = counter
        self.runtime = runtime
        self.store = store
        self.transport = transport
        self.clocks = clocks
        self._shredded_since = shredded_since
        self.deadlines: Deadlines[Operation] = Deadlines(runtime, methodcaller("on_deadline"))
        self.speculation = Speculation(runtime)
        self.operations: dict[int, Any] = {}
        self.suspects: set[int] = set()
        # Node to the actor under which it writes, of those that have said so.
        self.actors: dict[int, int] = {}
        self.outrun = False
        self._on_outrun = on_outrun
        # Whether this node's copies are incomplete, see recovery.py.
        self.recovering = False
        self.pace = Pace(runtime)
        self.trees = Trees(topology)
        self._volatile = frozenset(
            name.encode()
            for name, settings in topology.namespaces.items()
            if settings.durability == "none"
        )
        self.graveyard = Graveyard(runtime, self._tends)
        self.expiries = Expiries(clocks)
        self.doubts = Doubts(store, self._is_shared, self._partition_of, runtime.wall_ms)
        self.counters = Counters()
        self.tell: Callable[[str], object] = _unheard
        # Random, so that a reply meant for an operation of this node's last life finds none.
        self._last_op = runtime.rng.getrandbits(62)
        self._place_hash: Callable[[bytes, int], bytes] = TOKEN_HASHES[topology.token_hash]

    def next_op(self) -> int:
        self._last_op += 1
        return self._last_op

    def mint(self, key: bytes) -> Event:
        """A new dot of this node. Never given twice: see the theory in `model/record.py`.

        It is later than the shredding of the namespace of the storage key `key`, even if this
        node's clock is not there yet: what is older than that does not stay.

        Raises StorageError once the store has failed. It may have let go of this node's last
        records; a later dot would cover theirs, and the merge drop what others hold of them.
        """
        if self.store.failed is not None:
            raise StorageError(
                "wanted to coordinate a write, but this node's store has failed; "
                "ask another node, and restart this one once its disk is sound"
            )
        if self.outrun:
            raise StorageError(
                "This node coordinates no writes, as its data directory is an older copy: others "
                "know writes of it that it does not. Ask another node, and restart this one."
            )
        self.counter += 1
        now_ms = self.runtime.wall_ms()
        if self._shredded_since:
            now_ms = max(now_ms, self._shredded_since.get(_namespace(key), 0) + 1)
        return Event(self.actor, self.counter, now_ms)

    def unshredded(self, key: bytes, record: Record) -> Record:
        """`record` without what was shredded here; a peer may not have done so yet."""
        moment_ms = self._shredded_since.get(_namespace(key)) if self._shredded_since else None
        return record if moment_ms is None else since(record, moment_ms)

    def never_made(self, context: Context) -> Event | None:
        """A write of this node in `context` that it has not made; None if there is none."""
        actor, counter = self.actor, self.counter
        for event in context:
            if event.actor > actor:
                if is_same_node(event.actor, actor):
                    return event
            elif event.actor == actor and event.counter > counter:
                return event
        return None

    def disowns(self, record: Record) -> bool:
        """True if `record`, which another node holds, lists a write of this node that this node
        has not made.

        Its next writes would be taken for those: a merge would drop them as long seen. Either the
        record was forged, or this node runs on an older copy of its data directory. In both cases
        it may write no more under this actor: it stops, and begins a new one.
        """
        event = self.never_made(record.context)
        if event is None:
            return False
        if not self.outrun:
            self.outrun = True
            self._on_outrun(event)
        return True

    def check_pressure(self, key: bytes) -> None:
        """Raises Overloaded while the store would soon hold up whoever writes `key` to it."""
        if self.store.pressed and not self.is_volatile(key):
            raise Overloaded(
                f"wanted to write, but node {self.topology.node(self.local).name} files slower "
                "than it is written to; retry later",
                retry_after=1,
            )

    def has_room(self, key: bytes) -> bool:
        """True if `put` would take a record with versions."""
        return not self.store.full or self.is_volatile(key)

    def check_room(self, key: bytes) -> None:
        """Raises DiskFull where there is no room.

        To be asked before a dot is minted: a coordinator keeps what it has made.
        """
        if not self.has_room(key):
            raise self._disk_full()

    def check_clock(self) -> None:
        """Raises ClockWrong while this node must not say when something expires.

        To be asked before a dot is minted, too.
        """
        if not self.clocks.may_mint:
            self.counters.lifetimes_refused += 1
            name = self.topology.node(self.local).name
            raise ClockWrong(
                f"Node {name} gives no lifetimes now: its clock is {self.clocks.state}, compared "
                "with the other nodes'. Retry through another node; set the clock, or where it "
                f"is right accept it with 'kvorum clock accept {name}'",
                retry_after=1,
            )

    def _disk_full(self) -> DiskFull:
        return DiskFull(
            f"wanted to store a value, but the disk of node {self.topology.node(self.local).name} "
            "is full; delete entries or make room on it (its log says whether bytes or inodes are "
            "missing), and it takes values again"
        )

    def settings_of(self, namespace: str) -> NamespaceSettings:
        """Raises NamespaceNotFound."""
        settings = self.topology.namespaces.get(namespace)
        if settings is None:
            raise NamespaceNotFound(
                f"wanted one of the namespaces {sorted(self.topology.namespaces)}, "
                f"got {namespace!r}; namespaces are declared in the cluster file"
            )
        return settings

    def place(self, namespace: str, key: str, quorum: str = "") -> Place:
        """Raises NamespaceNotFound or InvalidKey. `quorum`: its kind, if the request names one."""
        settings = self.topology.namespaces.get(namespace) or self.settings_of(namespace)
        data = encode_key(key)
        token = self._place_hash(data, self.topology.token_seed)
        placement, replicas = self.placement, settings.replicas
        partition = placement.partition(token)
        owners = preference = placement.owners(partition, replicas)
        if (quorum or settings.quorum) == "sloppy":
            preference = placement.preference(partition, replicas)
        return Place(token, storage_key(token, namespace, data), owners, preference, settings)

    def owners_of(self, key: bytes) -> tuple[int, ...]:
        """The owners of the storage key `key`; none if its namespace is gone."""
        settings = self.topology.namespaces.get(_namespace(key).decode())
        if settings is None:
            return ()
        placement = self.placement
        return placement.owners(placement.partition(key[1:9]), settings.replicas)

    def partners(self) -> set[int]:
        """The nodes that own some partition together with this one."""
        partners: set[int] = set()
        for replicas in {settings.replicas for settings in self.topology.namespaces.values()}:
            for partition in range(self.topology.partitions):
                owners = self.placement.owners(partition, replicas)
                if self.local in owners:
                    partners.update(owners)
        return partners - {self.local}

    def _is_shared(self, token: bytes) -> bool:
        """True if this node is one of several owners of the token's records, or of some of them."""
        owners, partition = self.placement.owners, self.placement.partition(token)
        return any(
            replicas > 1 and self.local in owners(partition, replicas)
            for replicas in self.trees.replica_counts
        )

    def _partition_of(self, token: bytes) -> TokenSpan:
        return of_partition(self.placement.partition(token), self.topology.partition_bits)

    def _tends(self, key: bytes) -> bool:
        """True if this node has to see a tombstone at the storage key `key` collected: it is
        the first owner, and nobody forgets the key of his own accord.
        """
        return self.owners_of(key)[:1] == (self.local,) and not self.is_volatile(key)

    def is_volatile(self, key: bytes) -> bool:
        """True if the record at the storage key `key` is kept in memory only, while it fits."""
        return bool(self._volatile) and _namespace(key) in self._volatile

    def is_up(self, node: int) -> bool:
        """True if there is no reason not to ask `node`: it can be reached and is no suspect."""
        if node == self.local:
            return True
        return node not in self.suspects and self.transport.is_up(node)

    def read_local(self, key: bytes) -> tuple[bytes, Record]:
        """This replica's record, encoded and decoded; (b"", EMPTY) where it has none.

        Raises CorruptRecord if it is damaged, StorageError if it cannot be read: then this
        replica does not know what it holds, which is not the same as holding nothing.
        """
        data = self.store.get(key) or b""
        return data, self.decoded(key, data)

    def read_bytes(self, key: bytes) -> bytes:
        """As `read_local`, where nobody needs the record decoded."""
        return self.sound(key, self.store.get(key))

    def is_warm(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bool:
        """True if the store has in memory what is at `key`. Else `then(arg)` once it has."""
        try:
            return self.store.find(key, then, arg) is not COLD
        except StorageError:
            return True  # Whoever reads it meets the error again, and knows what to do.

    def decoded(self, key: bytes, data: bytes | None) -> Record:
        """What the store has at `key`. Raises CorruptRecord if it is damaged."""
        if not data:
            return EMPTY
        try:
            return decode(key, data)
        except CorruptRecord:
            self.counters.corrupt_records += 1
            raise

    def sound(self, key: bytes, data: bytes | None) -> bytes:
        """As `decoded`, where nobody needs the record decoded."""
        if not data:
            return b""
        if not is_sound(key, data):
            self.counters.corrupt_records += 1
            raise CorruptRecord(f"wanted a record of {shown(key)}, got bytes that fail its check")
        return data

    def check_doubt(self, key: bytes) -> None:
        """Raises CorruptRecord while this replica cannot speak for `key`."""
        if self.doubts.cover(key):
            raise CorruptRecord(
                f"wanted a replica that can speak for {shown(key)}, got one whose record was "
                "damaged and that has not compared with all other owners since"
            )

    def merge_in(self, key: bytes, data: bytes, done: Done, arg: Any) -> None:
        """Merge the encoded record `data` into this replica; `done(arg, error)` when durable.

        Also a record that is here already is put again: it may not be durable yet, and
        whoever asks is about to count on it. A damaged record here is replaced; a damaged
        one that comes in is refused.
        """
        try:
            incoming = decode(key, data)
            if self.disowns(incoming):
                raise self._unknown_write(key)
            held = self._held(key)
            merged = merge(incoming, self._decoded(key, held))
        except StorageError as error:
            self.runtime.call_soon(done, arg, error)
            return
        if merged is not incoming:
            data = encode(key, merged)
        if len(merged.versions) > 1:
            self.expiries.see_all(merged)
        self.put(key, held, data, done, arg)

    def put(self, key: bytes, held: bytes, data: bytes, done: Done, arg: Any) -> None:
        """Store the encoded record `data` in the place of `held`, which is what is there.

        While the disk is full only tombstones are: they let go of data, and are short. Of what
        was shredded here nothing is, and `done` is told so: whoever sends it must not take it
        for stored.
        """
        if self._shredded_since and (rest := self._rest(key, data)) != data:
            self.runtime.call_soon(done, arg, _shredded(key))
            if not rest:
                return
            data, done = rest, ignore
        if not self.has_room(key) and not is_tombstone(key, data):
            self.runtime.call_soon(done, arg, self._disk_full())
            return
        if len(data) > RECORD_BYTES_MAX:
            self.runtime.call_soon(done, arg, _too_large(key, data))
            return
        self.trees.replace(key, held, data)
        if data[-1] == LAST_BYTE:
            self.graveyard.see(key, data)
        if data[-9:-8] == UINT64:
            self.expiries.see(data)
        self.store.put(key, data, done, arg)

    def _rest(self, key: bytes, data: bytes) -> bytes:
        record = decode(key, data)
        rest = self.unshredded(key, record)
        if rest is record:
            return data
        return encode(key, rest) if rest.context else b""

    def drop(self, key: bytes, held: bytes, done: Done, arg: Any) -> None:
        """Forget the record at `key`, which is `held`."""
        self.trees.replace(key, held, b"")
        self.store.delete(key, done, arg)

    def _unknown_write(self, key: bytes) -> UnknownWrite:
        name = self.topology.node(self.local).name
        return UnknownWrite(
            f"The record of {shown(key)} lists a write of node {name} that {name} has not made. "
            f"Restart {name}: it begins a new identity for its writes, and compares its data with "
            "the other nodes'."
        )

    def _held(self, key: bytes) -> bytes:
        """What is there; nothing if the engine finds the file damaged that it lies in.

        Raises StorageError where it cannot tell.
        """
        try:
            return self.store.get(key) or b""
        except CorruptRecord:
            self.counters.corrupt_records += 1
            self.doubts.begin(key)
            return b""

    def _decoded(self, key: bytes, held: bytes) -> Record:
        """What is held; EMPTY where it is damaged, so that a sound record replaces it."""
        try:
            return self.decoded(key, held)
        except CorruptRecord:
            self.doubts.begin(key)
            return EMPTY

    def node_names(self, nodes: list[int]) -> list[str]:
        return [self.topology.node(node).name for node in nodes]

    def too_few(
        self, what: str, needed: int, got: list[int], owners: tuple[int, ...]
    ) -> QuorumError:
        """The error for an operation that cannot reach its quorum; nothing was changed."""
        return QuorumError(
            f"wanted {needed} replicas to {what}, got {len(got)} of {len(owners)}; "
            "retry when more are up, or ask with a lower quorum",
            needed=needed,
            got=len(got),
            replicas=self.node_names(list(owners)),
        )


def _namespace(key: bytes) -> bytes:
    return key[9 : key.index(0, 9)]


def _shredded(key: bytes) -> StorageError:
    return StorageError(
        f"The record of {shown(key)} is from before its namespace was shredded and is not stored; "
        "shred the namespace on the node that sent it, too"
    )


def _unheard(_sentence: str) -> None:
    """There is nobody to be told."""


class Counters:
    """Plain event counts since start, for status and metrics."""

    __slots__ = (
        "anti_entropy_repairs",
        "corrupt_records",
        "disowned_writes",
        "forwards",
        "handoffs",
        "hints_replayed",
        "hints_stored",
        "leaves_corrected",
        "lifetimes_refused",
        "reads",
        "repairs",
        "speculative_reads",
        "stand_in_writes",
        "timeouts",
        "tombstones_collected",
        "versions_buried",
        "writes",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    anti_entropy_repairs: int
    corrupt_records: int
    disowned_writes: int
    forwards: int
    handoffs: int
    hints_replayed: int
    hints_stored: int
    leaves_corrected: int
    lifetimes_refused: int
    reads: int
    repairs: int
    speculative_reads: int
    stand_in_writes: int
    timeouts: int
    tombstones_collected: int
    versions_buried: int
    writes: int

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


def _too_large(key: bytes, data: bytes) -> StorageError:
    return StorageError(
        f"The record of {shown(key)} has {len(data)} bytes, and none of more than "
        f"{RECORD_BYTES_MAX} is stored. Delete the key, or resolve its siblings."
    )


def ignore(_arg: object, _error: StorageError | None) -> None:
    """For writes nobody waits for. The store itself reports its failure to the node."""

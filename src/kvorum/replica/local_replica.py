"""The local replica: this node's own copy of the data, and all that follows from what is in it.

    store       encoded records by storage key; all below it is the store's affair
    trees       hashes of the records, by which owners compare (`trees.py`)
    expiries    when versions expire (`expiry.py`)
    tombstones   tombstones that this node has to see collected (`tombstones.py`)
    doubts      tokens for which this replica cannot speak (`unverified_tokens.py`)
    feed        who else wants to hear of each change (`change_feed.py`)

One place stores records: `put` and `drop` see the old bytes and the new, so all of these are
current. A node without a local replica coordinates nothing and stores nothing; it asks others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from kvorum.cluster.clocks import Clocks
from kvorum.cluster.view import ClusterView
from kvorum.model.errors import (
    ClockWrong,
    CorruptRecord,
    DiskFull,
    Overloaded,
    StorageError,
    UnknownWrite,
)
from kvorum.model.keys import namespace_of
from kvorum.model.record import (
    EMPTY,
    RECORD_BYTES_MAX,
    Event,
    Record,
    decode,
    encode,
    is_sound,
    merge,
    shown,
    since,
)
from kvorum.operations.counters import Counters
from kvorum.replica.authorship import Authorship
from kvorum.replica.change_feed import ChangeFeed
from kvorum.replica.expiry import UINT64, Expiries
from kvorum.replica.tombstones import LAST_BYTE, Tombstones, is_tombstone
from kvorum.replica.trees import Trees
from kvorum.replica.unverified_tokens import UnverifiedTokens
from kvorum.runtime.ports import Runtime
from kvorum.storage.store import COLD, Done, Store, ignore

NOTHING_SHREDDED: Final[Mapping[bytes, int]] = MappingProxyType({})


class LocalReplica:
    """The records of one node. `recovering`: its copies are incomplete (`repair/recovery.py`)."""

    __slots__ = (
        "_clocks",
        "_runtime",
        "_shredded_since",
        "_view",
        "authorship",
        "counters",
        "expiries",
        "feed",
        "recovering",
        "store",
        "tombstones",
        "trees",
        "unverified",
    )

    def __init__(
        self,
        view: ClusterView,
        authorship: Authorship,
        runtime: Runtime,
        store: Store,
        clocks: Clocks,
        counters: Counters,
        shredded_since: Mapping[bytes, int] = NOTHING_SHREDDED,
    ) -> None:
        """`shredded_since`: by namespace the moment (ms) up to which its records were shredded;
        looked at with each write.
        """
        self._view = view
        self._runtime = runtime
        self._clocks = clocks
        self.counters = counters
        self._shredded_since = shredded_since
        self.authorship = authorship
        self.store = store
        self.recovering = False
        self.trees = Trees(view.catalog, view.topology.partition_bits)
        self.tombstones = Tombstones(runtime, self._tends)
        self.expiries = Expiries(clocks)
        self.unverified = UnverifiedTokens(
            store, view.is_shared, view.span_of_partition, runtime.wall_ms
        )
        self.feed = ChangeFeed(view.placement.partition)

    def _tends(self, key: bytes) -> bool:
        """True if this node has to see a tombstone at the storage key `key` collected: it is
        the first owner, and nobody forgets the key of his own accord.
        """
        view = self._view
        return view.owners_of(key)[:1] == (view.local,) and not view.is_volatile(key)

    # Whether it can be written here

    def mint(self, key: bytes) -> Event:
        """A new dot of this node, for the record at the storage key `key`.

        It is later than the shredding of the key's namespace, even if this node's clock is not
        there yet: what is older than that does not stay.

        Raises StorageError once the store has failed. It may have let go of this node's last
        records; a later dot would cover theirs, and the merge drop what others hold of them.
        """
        if self.store.failed is not None:
            raise StorageError(
                "wanted to coordinate a write, but this node's store has failed; "
                "ask another node, and restart this one once its disk is sound"
            )
        now_ms = self._runtime.wall_ms()
        if self._shredded_since:
            now_ms = max(now_ms, self._shredded_since.get(namespace_of(key), 0) + 1)
        return self.authorship.next_dot(now_ms)

    def unshredded(self, key: bytes, record: Record) -> Record:
        """`record` without what was shredded here; a peer may not have done so yet."""
        shredded = self._shredded_since
        moment_ms = shredded.get(namespace_of(key)) if shredded else None
        return record if moment_ms is None else since(record, moment_ms)

    def check_pressure(self, key: bytes) -> None:
        """Raises Overloaded while the store would soon hold up whoever writes `key` to it."""
        if self.store.pressed and not self._view.is_volatile(key):
            raise Overloaded(
                f"wanted to write, but node {self._view.local_name} files slower "
                "than it is written to; retry later",
                retry_after=1,
            )

    def has_room(self, key: bytes) -> bool:
        """True if `put` would take a record with versions."""
        return not self.store.full or self._view.is_volatile(key)

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
        if not self._clocks.may_mint:
            self.counters.lifetimes_refused += 1
            name = self._view.local_name
            raise ClockWrong(
                f"Node {name} gives no lifetimes now: its clock is {self._clocks.state}, compared "
                "with the other nodes'. Retry through another node; set the clock, or where it "
                f"is right accept it with 'kvorum clock accept {name}'",
                retry_after=1,
            )

    def _disk_full(self) -> DiskFull:
        return DiskFull(
            f"wanted to store a value, but the disk of node {self._view.local_name} "
            "is full; delete entries or make room on it (its log says whether bytes or inodes are "
            "missing), and it takes values again"
        )

    # Reading

    def read(self, key: bytes) -> tuple[bytes, Record]:
        """This replica's record, encoded and decoded; (b"", EMPTY) where it has none.

        Raises CorruptRecord if it is damaged, StorageError if it cannot be read: then this
        replica does not know what it holds, which is not the same as holding nothing.
        """
        data = self.store.get(key) or b""
        return data, self.decoded(key, data)

    def read_bytes(self, key: bytes) -> bytes:
        """As `read`, where nobody needs the record decoded."""
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

    def check_verified(self, key: bytes) -> None:
        """Raises CorruptRecord while this replica cannot speak for `key`."""
        if self.unverified.cover(key):
            raise CorruptRecord(
                f"wanted a replica that can speak for {shown(key)}, got one whose record was "
                "damaged and that has not compared with all other owners since"
            )

    # Writing

    def merge_in(self, key: bytes, data: bytes, done: Done, arg: Any) -> None:
        """Merge the encoded record `data` into this replica; `done(arg, error)` when durable.

        Also a record that is here already is put again: it may not be durable yet, and
        whoever asks is about to count on it. A damaged record here is replaced; a damaged
        one that comes in is refused.
        """
        try:
            incoming = decode(key, data)
            if self.authorship.disowns(incoming):
                raise self._unknown_write(key)
            held = self._held(key)
            merged = merge(incoming, self._decoded(key, held))
        except StorageError as error:
            self._runtime.call_soon(done, arg, error)
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
            self._runtime.call_soon(done, arg, _shredded(key))
            if not rest:
                return
            data, done = rest, ignore
        if self.store.full and not self.has_room(key) and not is_tombstone(key, data):
            self._runtime.call_soon(done, arg, self._disk_full())
            return
        if len(data) > RECORD_BYTES_MAX:
            self._runtime.call_soon(done, arg, _too_large(key, data))
            return
        self.trees.replace(key, held, data)
        if data[-1] == LAST_BYTE:
            self.tombstones.see(key, data)
        if data[-9:-8] == UINT64:
            self.expiries.see(data)
        if self.feed.listeners:
            self.feed.publish(key, held, data)
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
        if self.feed.listeners:
            self.feed.publish(key, held, b"")
        self.store.delete(key, done, arg)

    def _unknown_write(self, key: bytes) -> UnknownWrite:
        name = self._view.local_name
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
            self.unverified.begin(key)
            return b""

    def _decoded(self, key: bytes, held: bytes) -> Record:
        """What is held; EMPTY where it is damaged, so that a sound record replaces it."""
        try:
            return self.decoded(key, held)
        except CorruptRecord:
            self.unverified.begin(key)
            return EMPTY


def _shredded(key: bytes) -> StorageError:
    return StorageError(
        f"The record of {shown(key)} is from before its namespace was shredded and is not stored; "
        "shred the namespace on the node that sent it, too"
    )


def _too_large(key: bytes, data: bytes) -> StorageError:
    return StorageError(
        f"The record of {shown(key)} has {len(data)} bytes, and none of more than "
        f"{RECORD_BYTES_MAX} is stored. Delete the key, or resolve its siblings."
    )

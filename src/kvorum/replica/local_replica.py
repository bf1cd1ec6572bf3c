"""The local replica: this node's own copy of the data, and all that follows from what is in it.

    store       encoded records by storage key
    trees       hashes of the records, by which owners compare (`trees.py`)
    counts      how many entries and bytes there are (`counts.py`)
    expiries    when versions expire (`expiry.py`)
    tombstones  those that this node has to see collected (`tombstones.py`)
    unverified  tokens whose records were lost to damage (`unverified_tokens.py`)
    feed        subscribers that are told of each change (`change_feed.py`)

One place stores records: `put` and `drop` see the old bytes and the new, so all of these are
current. Here, too, is the one check of a record before it is acknowledged: in `put`, or where
`merge_in` decodes it. Nothing has changed by then, so what fails it is refused, and neither trees
nor store know of it; from here to the log its bytes are handed on as they are. When they are
flushed they are checked once more, against damage in memory meanwhile.

A node without a local replica coordinates nothing and stores nothing; it asks others.
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
    TOMBSTONE_END,
    Event,
    Record,
    decode,
    encode,
    is_sound,
    is_tombstone,
    merge,
    shown,
    since,
)
from kvorum.operations.counters import Counters
from kvorum.replica.authorship import Authorship
from kvorum.replica.change_feed import ChangeFeed
from kvorum.replica.counts import Counts
from kvorum.replica.expiry import UINT64, Expiries
from kvorum.replica.tombstones import Tombstones
from kvorum.replica.trees import Trees
from kvorum.replica.unverified_tokens import UnverifiedTokens
from kvorum.runtime.ports import Runtime
from kvorum.storage.store import COLD, Cold, Done, Store, ignore

NOTHING_SHREDDED: Final[Mapping[bytes, int]] = MappingProxyType({})


class LocalReplica:
    """The records of one node: reading, storing and merging them, and whether it may write.

    `recovering`: its copies are incomplete, so it answers no reads (`repair/recovery.py`).
    """

    __slots__ = (
        "_clocks",
        "_runtime",
        "_shredded_since",
        "_view",
        "authorship",
        "counters",
        "counts",
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
        self.counts = Counts(view.catalog, view.topology.partition_bits)
        self.tombstones = Tombstones(runtime, self._collects)
        self.expiries = Expiries(clocks)
        self.unverified = UnverifiedTokens(
            store, view.is_shared, view.span_of_partition, runtime.wall_ms
        )
        self.feed = ChangeFeed(view.placement.partition)

    def _collects(self, key: bytes) -> bool:
        """True if this node has to see a tombstone at the storage key `key` collected: it is the
        first owner, and the namespace is not one kept in memory, where nothing is collected.
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
                f"The store of node {self._view.local_name} has failed, so it coordinates no "
                "writes. Ask another node, and restart this one once its disk is sound."
            )
        now_ms = self._runtime.wall_ms()
        if self._shredded_since:
            now_ms = max(now_ms, self._shredded_since.get(namespace_of(key), 0) + 1)
        return self.authorship.next_dot(now_ms)

    def unshredded(self, key: bytes, record: Record) -> Record:
        """`record` without what was shredded on this node; another node may still have it."""
        shredded = self._shredded_since
        moment_ms = shredded.get(namespace_of(key)) if shredded else None
        return record if moment_ms is None else since(record, moment_ms)

    def check_pressure(self, key: bytes) -> None:
        """Raises Overloaded while flush and compaction lag behind writes, so that one of `key`
        would soon have to wait.
        """
        if self.store.pressed and not self._view.is_volatile(key):
            raise Overloaded(
                f"Node {self._view.local_name} is overloaded: flush and compaction lag behind "
                "writes. Retry later.",
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
                f"is right accept it with 'kvorum clock accept {name}'.",
                retry_after=1,
            )

    def _disk_full(self) -> DiskFull:
        return DiskFull(
            f"The disk of node {self._view.local_name} is full. Delete entries or make room on it "
            "(its log says whether bytes or inodes are missing), and it takes values again."
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
        """This replica's record, encoded; b"" where it has none. Raises as `read` does."""
        return self.sound(key, self.store.get(key))

    def is_warm(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bool:
        """True if the record at `key` can be read without the disk. Else it is read in the
        background, and `then(arg)` called after that.
        """
        try:
            return self.store.find(key, then, arg) is not COLD
        except StorageError:
            return True  # The read that follows meets the error again, and handles it.

    def find_held(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | Cold:
        """As `held`; COLD if it has to be fetched, and `then(arg)` once that is done."""
        try:
            return self.store.find(key, then, arg) or b""
        except CorruptRecord:
            return self._lost(key)

    def decoded(self, key: bytes, data: bytes | None) -> Record:
        """The record in `data`, which is stored at `key`. Raises CorruptRecord if it is damaged."""
        if not data:
            return EMPTY
        try:
            return decode(key, data)
        except CorruptRecord:
            self.counters.corrupt_records += 1
            raise

    def sound(self, key: bytes, data: bytes | None) -> bytes:
        """`data`, which is stored at `key`; b"" for None. Raises CorruptRecord if it is damaged."""
        if not data:
            return b""
        if not is_sound(key, data):
            self.counters.corrupt_records += 1
            raise _unsound(key)
        return data

    def check_verified(self, key: bytes) -> None:
        """Raises CorruptRecord while the token of `key` is unverified."""
        if self.unverified.cover(key):
            raise CorruptRecord(
                f"The record of {shown(key)} was damaged on this replica, which has not compared "
                "it with all other owners since."
            )

    # Writing

    def merge_in(self, key: bytes, data: bytes, done: Done, arg: Any) -> None:
        """Merge the encoded record `data` into this replica; `done(arg, error)` once it is durable.

        A record that is stored already is put again, since it may not be durable yet and the caller
        is about to rely on it. A damaged record here is replaced; a damaged one that comes in is
        refused.
        """
        try:
            held = self.held(key)
        except StorageError as error:
            self._runtime.call_soon(done, arg, error)
        else:
            self.merge_into(key, held, data, done, arg)

    def merge_into(self, key: bytes, held: bytes, data: bytes, done: Done, arg: Any) -> None:
        """As `merge_in`, for whoever knows what is `held` here."""
        try:
            incoming = decode(key, data)
            if self.authorship.disowns(incoming):
                raise self._unknown_write(key)
            merged = merge(incoming, self._decoded(key, held))
        except StorageError as error:
            self._runtime.call_soon(done, arg, error)
            return
        if merged is not incoming:
            data = encode(key, merged)
        if len(merged.versions) > 1:
            self.expiries.see_all(merged)
        self._put_sound(key, held, data, done, arg)

    def put(self, key: bytes, held: bytes, data: bytes, done: Done, arg: Any) -> None:
        """Store the encoded record `data` in the place of `held`, which is what is stored now;
        `done(arg, error)` once it is durable.

        A record that fails its check is refused. While the disk is full only tombstones are stored:
        they free space, and are short. What was shredded here is not stored, and `done` gets an
        error: its sender must not take it for stored. What is refused has changed nothing.
        """
        if is_sound(key, data):
            self._put_sound(key, held, data, done, arg)
        else:
            self._runtime.call_soon(done, arg, _unsound(key))

    def _put_sound(self, key: bytes, held: bytes, data: bytes, done: Done, arg: Any) -> None:
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
        if data[-1] == TOMBSTONE_END:
            self.tombstones.see(key, data)
            self.counts.replace(key, held, data)
        elif not held or held[-1] == TOMBSTONE_END:
            self.counts.replace(key, held, data)
        elif change := len(data) - len(held):
            self.counts.grow(key, change)
        if data[-9:-8] == UINT64:
            self.expiries.see(data)
        if self.feed.listeners:
            self.feed.publish(key, held, data)
        self.store.put(key, data, done, arg)

    def _rest(self, key: bytes, data: bytes) -> bytes:
        """`data` without what was shredded here; b"" if nothing is left."""
        if namespace_of(key) not in self._shredded_since:
            return data
        record = decode(key, data)
        rest = self.unshredded(key, record)
        if rest is record:
            return data
        return encode(key, rest) if rest.context else b""

    def drop(self, key: bytes, held: bytes, done: Done, arg: Any) -> None:
        """Delete the record at `key`, which is `held`; `done(arg, error)` once that is durable."""
        self.trees.replace(key, held, b"")
        self.counts.replace(key, held, b"")
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

    def held(self, key: bytes) -> bytes:
        """What is stored, encoded; b"" where nothing is, and where it is damaged, so that a sound
        record replaces it. Raises StorageError where that cannot be told.
        """
        try:
            return self.store.get(key) or b""
        except CorruptRecord:
            return self._lost(key)

    def _lost(self, key: bytes) -> bytes:
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


def _unsound(key: bytes) -> CorruptRecord:
    return CorruptRecord(f"The record of {shown(key)} fails its check.")


def _shredded(key: bytes) -> StorageError:
    return StorageError(
        f"The record of {shown(key)} is from before its namespace was shredded and is not stored. "
        "Shred the namespace on the node that sent it, too."
    )


def _too_large(key: bytes, data: bytes) -> StorageError:
    return StorageError(
        f"The record of {shown(key)} has {len(data)} bytes, and none of more than "
        f"{RECORD_BYTES_MAX} is stored. Delete the key, or resolve its siblings."
    )

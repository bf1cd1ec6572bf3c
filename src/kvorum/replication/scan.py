"""A scan: the live entries of a namespace, a page at a time, in token order.

Storage keys begin with the token, so a partition is one range of them and its owners can page
through it in step. R owners are asked for the same range; each answers with its next records. What
all of them have paged past is merged and given out; the rest is asked again. The cursor is the last
storage key given out, so a scan goes on after a restart of its server.

Where one of them cannot read a range, all other owners are asked as well. A record that still fewer
than R owners can read is not given out, as what is left of it may be old. It is listed as
unreadable instead.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import (
    CorruptRecord,
    KvorumError,
    RequestError,
    StorageError,
    TimeoutExpired,
)
from kvorum.model.keys import is_range_start, partition_range, split_storage_key, token_range
from kvorum.model.record import EMPTY, Record, decode, merge
from kvorum.model.request import Failure, Listing, Unreadable
from kvorum.operations.operations import Operations
from kvorum.replica.expiry import visible
from kvorum.replica.local_replica import LocalReplica
from kvorum.replica.pages import read_page
from kvorum.replication.vouching import Vouching
from kvorum.wire.messages import Page, Refused, Reply, Scan

ANSWER_BYTES_MAX = 4 << 20

OnListing = Callable[[Listing | Failure], object]


class ScanOperation:
    """One page for a client: walks partitions until it is full or the ring ends."""

    __slots__ = (
        "_advanced",
        "_asked",
        "_bytes",
        "_cursor",
        "_entries",
        "_limit",
        "_message",
        "_named",
        "_namespace",
        "_op",
        "_operations",
        "_pages",
        "_partition",
        "_replica",
        "_reply",
        "_settings",
        "_unfit",
        "_unreadable",
        "_view",
        "ended",
    )

    key = b""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica | None,
        operations: Operations,
        namespace: str,
        reply: OnListing,
    ) -> None:
        self.ended = False
        self._view = view
        self._replica = replica
        self._operations = operations
        self._namespace = namespace
        self._reply = reply
        self._settings = view.catalog.settings(namespace)
        self._entries: list[tuple[str, Record]] = []
        self._bytes = 0
        self._limit = 0
        self._cursor = b""
        self._partition = 0
        self._advanced = False
        self._op = 0
        self._asked: list[int] = []
        self._pages: dict[int, Page] = {}
        self._message = Scan(0, b"", b"", 0)
        self._unfit: set[int] = set()
        """The nodes that have refused: they are not asked again."""
        self._unreadable: list[Unreadable] = []
        self._named: set[bytes] = set()
        """Where the ranges begin that are listed as unreadable."""

    def start(self, after: bytes, limit: int) -> None:
        """Read at most `limit` entries after the storage key `after`; b"" for the first ones.
        Raises RequestError if that can be no cursor.
        """
        self._limit = limit
        if after:
            if not is_range_start(after):
                raise RequestError("The cursor is none that an earlier page gave.")
            self._partition = self._view.placement.partition(after[1:9])
            self._cursor = after + b"\0"
        self._operations.deadlines.watch(self, self._settings.timeout_ms)
        self._operations.runtime.call_soon(self._ask)

    def _ask(self) -> None:
        """Ask R owners of the current partition for their next records."""
        if self.ended:
            return
        needed = self._settings.read
        owners = self._view.placement.owners(self._partition, self._settings.rule)
        fit = self._fit(owners)
        if len(fit) < needed:
            self._end(Failure.of(self._view.too_few("scan", needed, fit, owners)))
            return
        self._asked = []
        self._pages = {}
        self._op = self._operations.next_op()
        self._operations.table[self._op] = self
        start, end = partition_range(self._partition, self._view.topology.partition_bits)
        self._message = Scan(self._op, max(start, self._cursor), end, self._limit)
        self._send(fit[:needed])

    def _fit(self, owners: tuple[int, ...]) -> list[int]:
        """Those of `owners` that may be asked, this node first."""
        local, is_up = self._view.local, self._operations.is_up
        fit = [node for node in owners if is_up(node) and node not in self._unfit]
        if self._replica is not None and self._replica.recovering and local in fit:
            fit.remove(local)
        return sorted(fit, key=lambda node: node != local)

    def _send(self, nodes: list[int]) -> None:
        self._asked += nodes
        for node in nodes:
            if self._replica is not None and node == self._view.local:
                self._operations.runtime.call_soon(self._read_own, self._replica, self._message)
            else:
                self._operations.transport.send(node, self._message)

    def _read_own(self, replica: LocalReplica, message: Scan) -> None:
        try:
            page = read_page(replica, message.start, message.end, message.limit)
        except StorageError as error:
            self._end(Failure.of(error))
        else:
            self._on_page(self._view.local, Page(message.op, *page))

    def on_reply(self, node: int, message: Reply) -> None:
        if isinstance(message, Page):
            self._on_page(node, message)
        elif isinstance(message, Refused):
            if node in self._asked:
                self._unfit.add(node)
            self.on_peer_lost(node)

    def _on_page(self, node: int, page: Page) -> None:
        if self.ended or page.op != self._op or node not in self._asked:
            return
        self._pages[node] = page
        if len(self._pages) == len(self._asked):
            try:
                self._take()
            except KvorumError as error:
                self._end(Failure.of(error))

    def _take(self) -> None:
        """Merge what all owners have paged past, and go on or end."""
        cut = [page.pairs[-1][0] for page in self._pages.values() if page.more]
        upto = min(cut) if cut else None
        records: dict[bytes, Record] = {}
        unreadable = {node: list(page.unreadable) for node, page in self._pages.items()}
        for node, page in self._pages.items():
            for key, data in page.pairs:
                if upto is None or key <= upto:
                    try:
                        record = decode(key, data)
                    except CorruptRecord:
                        self._operations.counters.corrupt_records += 1
                        unreadable[node].append(token_range(key[1:]))
                        record = EMPTY
                    if self._replica is not None:
                        record = self._replica.unshredded(key, record)
                    records[key] = merge(records.get(key, EMPTY), record)
        if any(unreadable.values()) and self._ask_others():
            return
        self._operations.end(self._op)
        vouching = Vouching(self._settings.read, unreadable)
        for key in sorted(records):
            if vouching.vouches(key):
                self._give(key, records[key])
            else:
                self._name(key, vouching)
            if self._full():
                self._name_unknown(vouching, key)
                self._end(Listing(self._entries, key, self._unreadable))
                return
        self._name_unknown(vouching, upto)
        if upto is not None:
            self._cursor = upto + b"\0"
        else:
            self._partition += 1
            self._cursor = b""
        self._advanced = True
        if self._partition < self._view.topology.partitions:
            self._operations.runtime.call_soon(self._ask)
        else:
            self._end(Listing(self._entries, b"", self._unreadable))

    def _ask_others(self) -> bool:
        """Ask all owners that have not been asked for this page; False if there are none."""
        owners = self._view.placement.owners(self._partition, self._settings.rule)
        others = [node for node in self._fit(owners) if node not in self._asked]
        self._send(others)
        return bool(others)

    def _name(self, storage_key: bytes, vouching: Vouching) -> None:
        """Add `storage_key` to what cannot be read."""
        namespace, key = split_storage_key(storage_key)
        if namespace == self._namespace:
            self._named.add(storage_key[:9])
            nodes = self._view.names(vouching.silent(storage_key))
            self._unreadable.append(Unreadable(self._partition, nodes, key))

    def _name_unknown(self, vouching: Vouching, upto: bytes | None) -> None:
        """List the ranges up to `upto` that cannot be read, where no replica has told the key."""
        for start, end, silent in vouching.unvouched():
            is_token = (start, end) == token_range(start[1:])
            if (upto is not None and start > upto) or start in self._named:
                continue
            self._named.add(start)
            nodes = self._view.names(silent)
            first, last = start[1:9].hex(), end[1:9].hex()
            self._unreadable.append(
                Unreadable(
                    self._partition, nodes, token=first, last_token=None if is_token else last
                )
            )

    def _give(self, storage_key: bytes, record: Record) -> None:
        namespace, key = split_storage_key(storage_key)
        if namespace != self._namespace:
            return
        shown = visible(record, self._operations.clocks)
        if shown.versions:
            self._entries.append((key, shown))
            self._bytes += sum(len(version.value) for version in shown.versions)

    def _full(self) -> bool:
        return len(self._entries) >= self._limit or self._bytes >= ANSWER_BYTES_MAX

    def on_peer_lost(self, node: int) -> None:
        if not self.ended and node in self._asked and node not in self._pages:
            self._operations.end(self._op)
            self._ask()

    def on_deadline(self) -> None:
        """End with the entries so far, if there was any progress: the cursor goes on from there."""
        if self._advanced:
            start, _ = partition_range(self._partition, self._view.topology.partition_bits)
            cursor = self._cursor[:-1] or start
            self._end(Listing(self._entries, cursor, self._unreadable))
            return
        got = len(self._pages)
        error = TimeoutExpired(
            f"{got} of {self._settings.read} replicas needed to scan namespace {self._namespace!r} "
            "answered before the deadline. Retry.",
            needed=self._settings.read,
            got=got,
        )
        self._end(Failure.of(error))

    def _end(self, result: Listing | Failure) -> None:
        if not self.ended:
            self.ended = True
            self._operations.end(self._op)
            self._reply(result)

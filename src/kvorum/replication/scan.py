"""A scan: the live entries of a namespace, a page at a time, partition by partition.

Storage keys begin with the token, so a partition is one range of them and its owners can page
through it in step. R owners are asked for the same range; each answers with its next records. What
all of them have paged past is merged and taken for the page; the rest is asked again. Where all of
them hold the same, as their hash trees show, one of them reads its records alone (`agreement.py`).
What the page gathers, in which order, and where it ends is `gathering.py`'s. In the order of tokens
the cursor is the last storage key that was looked at, so a scan goes on after a restart of its
server.

Where one of them cannot read a range, all other owners are asked as well. A record that still fewer
than R owners can read is not given out, as what is left of it may be old. It is listed as
unreadable instead.

No step looks through more than `STEP_RECORDS` records, and each makes way for requests first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import (
    CorruptRecord,
    KvorumError,
    StorageError,
    TimeoutExpired,
)
from kvorum.model.keys import TOKEN_END, partition_range, token_range
from kvorum.model.record import EMPTY, Record, decode, merge
from kvorum.model.request import Failure, Listing, Selection
from kvorum.operations.operations import Operations
from kvorum.replica.expiry import is_plainly_live, visible
from kvorum.replica.local_replica import LocalReplica
from kvorum.replica.pages import read_page, read_selected
from kvorum.replication.agreement import STEP_RECORDS, partition_hash
from kvorum.replication.gathering import KeyOrder, gathering_of, wanted_by
from kvorum.replication.unreadable_keys import UnreadableKeys
from kvorum.replication.vouching import Vouching
from kvorum.wire.messages import Page, Refused, Reply, Same, Scan

_STEP_BESIDE_REQUESTS: Final = 40
_RECORDS_LIKE_ONE: Final = 16
"""Looking through so many records costs about as much as one request."""
_ROUNDS_MAX: Final = 30
"""For how many timeouts a page goes on that cannot be given in part."""

OnListing = Callable[[Listing | Failure], object]


class ScanOperation:
    """One page for a client: walks partitions until it is full or the range ends."""

    __slots__ = (
        "_advanced",
        "_asked",
        "_cursor",
        "_gathering",
        "_message",
        "_op",
        "_operations",
        "_pages",
        "_partition",
        "_replica",
        "_reply",
        "_rounds",
        "_selection",
        "_settings",
        "_unfit",
        "_unreadable",
        "_view",
        "_wanted",
        "_whole",
        "ended",
    )

    key = b""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica | None,
        operations: Operations,
        selection: Selection,
        reply: OnListing,
    ) -> None:
        """Raises RequestError, InvalidKey or NamespaceNotFound."""
        self.ended = False
        self._view = view
        self._replica = replica
        self._operations = operations
        self._selection = selection
        self._reply = reply
        self._settings = view.catalog.settings(selection.namespace)
        self._wanted = wanted_by(selection)
        self._gathering = gathering_of(view, selection)
        self._whole = selection.give == "entries"
        self._cursor = self._gathering.start
        self._partition = view.placement.partition(self._cursor[1:TOKEN_END])
        self._advanced = False
        self._rounds = 0
        """For how many timeouts it has gone on."""
        self._op = 0
        self._asked: list[int] = []
        self._pages: dict[int, Page | Same] = {}
        self._message = Scan(0, b"", b"", 0)
        self._unfit: set[int] = set()
        """The nodes that have refused: they are not asked again."""
        self._unreadable = UnreadableKeys(view, self._wanted)

    def start(self) -> None:
        """Read the page."""
        self._operations.deadlines.watch(self, self._settings.timeout_ms)
        self._operations.runtime.call_soon(self._begin_partition)

    # Where all hold the same

    def _begin_partition(self) -> None:
        """Ask whether R owners hold the same in the current partition; this node is one of them."""
        if self.ended:
            return
        fit = self._fit()
        own = b""
        if self._replica is not None and fit and fit[0] == self._view.local:
            own = partition_hash(self._replica, self._settings.rule, self._partition)
        if not own or len(fit) < self._settings.read:
            self._ask()
        elif self._settings.read == 1:
            self._read_alone()
        else:
            rule = self._settings.rule.id
            self._pose(fit[1 : self._settings.read], rule, own)

    def _read_alone(self) -> None:
        """Take the next of this node's own records, which are those of R owners."""
        replica, gathering = self._replica, self._gathering
        if self.ended or replica is None:
            return
        start, end = self._bounds()
        step = STEP_RECORDS if self._operations.pace.is_idle else _STEP_BESIDE_REQUESTS
        try:
            page = read_page(replica, start, end, step)
            if page.unreadable:
                self._ask()
                return
            for key, data in page.pairs:
                if not key.startswith(self._wanted, TOKEN_END):
                    continue
                if self._whole or not is_plainly_live(data):
                    record = replica.unshredded(key, replica.decoded(key, data))
                    self._take(key, record)
                else:
                    gathering.take(key, None)
                if gathering.full:
                    self._end_page(key)
                    return
        except KvorumError as error:
            self._end(Failure.of(error))
            return
        upto = page.pairs[-1][0] if page.more else b""
        self._go_on(upto, self._read_alone, len(page.pairs))

    # Where they may differ

    def _ask(self) -> None:
        """Ask R owners of the current partition for their next records."""
        if self.ended:
            return
        needed, fit = self._settings.read, self._fit()
        if len(fit) < needed:
            owners = self._view.placement.owners(self._partition, self._settings.rule)
            self._end(Failure.of(self._view.too_few("scan", needed, fit, owners)))
        else:
            self._pose(fit[:needed])

    def _pose(self, nodes: list[int], rule: str = "", own: bytes = b"") -> None:
        """Ask `nodes` for the next records, or if they have the hash `own`, for just that."""
        self._asked = []
        self._pages = {}
        self._op = self._operations.next_op()
        self._operations.table[self._op] = self
        start, end = self._bounds()
        self._message = Scan(self._op, start, end, STEP_RECORDS, self._wanted, rule, own)
        self._send(nodes)

    def _bounds(self) -> tuple[bytes, bytes]:
        """The range of the current partition that is left."""
        start, end = partition_range(self._partition, self._view.topology.partition_bits)
        return max(start, self._cursor), min(end, self._gathering.end)

    def _fit(self) -> list[int]:
        """The owners of the current partition that may be asked, this node first."""
        owners = self._view.placement.owners(self._partition, self._settings.rule)
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
            page = read_selected(replica, message.start, message.end, message.limit, message.wanted)
        except StorageError as error:
            self._end(Failure.of(error))
        else:
            self._on_page(self._view.local, Page(message.op, *page))

    def on_reply(self, node: int, message: Reply) -> None:
        if isinstance(message, Page | Same):
            self._on_page(node, message)
        elif isinstance(message, Refused):
            if node in self._asked:
                self._unfit.add(node)
            self.on_peer_lost(node)

    def _on_page(self, node: int, page: Page | Same) -> None:
        if self.ended or page.op != self._op or node not in self._asked:
            return
        self._pages[node] = page
        if len(self._pages) < len(self._asked):
            return
        pages = {node: page for node, page in self._pages.items() if isinstance(page, Page)}
        try:
            if not self._message.hash:
                self._merge(pages)
            elif pages:
                self._operations.end(self._op)
                self._ask()
            else:
                self._operations.end(self._op)
                self._read_alone()
        except KvorumError as error:
            self._end(Failure.of(error))

    def _merge(self, pages: dict[int, Page]) -> None:
        """Merge what all owners have paged past, and go on or end."""
        upto = min((page.upto for page in pages.values() if page.upto), default=b"")
        records: dict[bytes, Record] = {}
        unreadable = {node: list(page.unreadable) for node, page in pages.items()}
        for node, page in pages.items():
            for key, data in page.pairs:
                if not upto or key <= upto:
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
                self._take(key, records[key])
            else:
                self._unreadable.name(self._partition, key, vouching)
            if self._gathering.full:
                self._unreadable.name_unknown(self._partition, vouching, key)
                self._end_page(key)
                return
        self._unreadable.name_unknown(self._partition, vouching, upto)
        self._go_on(upto, self._ask, len(records))

    def _ask_others(self) -> bool:
        """Ask all owners that have not been asked for this page; False if there are none."""
        others = [node for node in self._fit() if node not in self._asked]
        self._send(others)
        return bool(others)

    # The page

    def _take(self, storage_key: bytes, record: Record) -> None:
        shown = visible(record, self._operations.clocks)
        if shown.versions:
            self._gathering.take(storage_key, shown)

    def _go_on(self, upto: bytes, step: Callable[[], None], records: int) -> None:
        """Go on behind `upto` with `step`, or with the next partition, when `records` have been
        looked through.
        """
        if upto:
            self._cursor = upto + b"\0"
        else:
            self._partition += 1
            self._cursor = b""
            step = self._begin_partition
            if not self._is_within():
                self._end_page(b"")
                return
        self._advanced = True
        pause_s = self._operations.pace.pause_s(records // _RECORDS_LIKE_ONE)
        if pause_s:
            self._operations.runtime.call_later(pause_s, step)
        else:
            self._operations.runtime.call_soon(step)

    def _is_within(self) -> bool:
        """True if the current partition is one that the page is about."""
        topology, end = self._view.topology, self._gathering.end
        if self._partition >= topology.partitions:
            return False
        return partition_range(self._partition, topology.partition_bits)[0] < end

    def on_peer_lost(self, node: int) -> None:
        if not self.ended and node in self._asked and node not in self._pages:
            self._operations.end(self._op)
            self._ask()

    def on_deadline(self) -> None:
        """End with the entries so far, if there was any progress: the cursor goes on from there. A
        page in the order of keys goes on itself, as none of it can be given.
        """
        if not self._advanced:
            self._end(Failure.of(self._too_late()))
        elif isinstance(self._gathering, KeyOrder):
            self._rounds += 1
            self._advanced = self._rounds < _ROUNDS_MAX
            self._operations.deadlines.watch(self, self._settings.timeout_ms)
        else:
            start, _ = partition_range(self._partition, self._view.topology.partition_bits)
            self._end_page(self._cursor[:-1] or start)

    def _too_late(self) -> TimeoutExpired:
        got, needed = len(self._pages), self._settings.read
        return TimeoutExpired(
            f"{got} of {needed} replicas needed to scan namespace {self._selection.namespace!r} "
            "answered before the deadline. Retry.",
            needed=needed,
            got=got,
        )

    def _end_page(self, cursor: bytes) -> None:
        self._end(self._gathering.listing(cursor, self._unreadable.found))

    def _end(self, result: Listing | Failure) -> None:
        if not self.ended:
            self.ended = True
            self._operations.end(self._op)
            self._reply(result)

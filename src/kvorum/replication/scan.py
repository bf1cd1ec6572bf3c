"""A scan: the live entries of a namespace, a page at a time, in token order.

Storage keys begin with the token, so a partition is one range of them and its owners can
page through it in step. R owners are asked for the same range; each answers with its next
records. What all of them have paged past is merged and given out; the rest is asked again.
The cursor is the last storage key given out, so a scan survives its server.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.model.errors import (
    CorruptRecord,
    KvorumError,
    NamespaceNotFound,
    RequestError,
    StorageError,
    TimeoutExpired,
)
from kvorum.model.keys import is_range_start, partition_range, split_storage_key
from kvorum.model.record import EMPTY, Record, decode, merge
from kvorum.model.request import Failure, Listing
from kvorum.model.topology import NamespaceSettings
from kvorum.replication.expiry import visible
from kvorum.replication.replica import Replica
from kvorum.replication.site import Site
from kvorum.wire.messages import Page, Scan

ANSWER_BYTES_MAX = 4 << 20

Reply = Callable[[Listing | Failure], object]


class ScanOperation:
    """One page for a client: walks partitions until it is full or the ring ends."""

    __slots__ = (
        "_advanced",
        "_asked",
        "_bytes",
        "_cursor",
        "_entries",
        "_limit",
        "_namespace",
        "_op",
        "_pages",
        "_partition",
        "_replica",
        "_reply",
        "_settings",
        "_site",
        "ended",
    )

    def __init__(self, site: Site, replica: Replica, namespace: str, reply: Reply) -> None:
        self.ended = False
        self._site = site
        self._replica = replica
        self._namespace = namespace
        self._reply = reply
        self._settings: NamespaceSettings = _settings(site, namespace)
        self._entries: list[tuple[str, Record]] = []
        self._bytes = 0
        self._limit = 0
        self._cursor = b""
        self._partition = 0
        self._advanced = False
        self._op = 0
        self._asked: list[int] = []
        self._pages: dict[int, Page] = {}

    def start(self, after: bytes, limit: int) -> None:
        """Entries after the storage key `after`; b"" begins. At most `limit` of them."""
        site = self._site
        self._limit = limit
        if after:
            if not is_range_start(after):
                raise RequestError("wanted a cursor that an earlier page gave, got another text")
            self._partition = site.placement.partition(after[1:9])
            self._cursor = after + b"\0"
        site.deadlines.watch(self, self._settings.timeout_ms)
        site.runtime.call_soon(self._ask)

    def _ask(self) -> None:
        """Ask R owners of the current partition for their next records."""
        if self.ended:
            return
        site = self._site
        needed = self._settings.read
        owners = site.placement.owners(self._partition, self._settings.replicas)
        up = [node for node in owners if site.is_up(node)]
        if len(up) < needed:
            self._end(Failure.of(site.too_few("scan", needed, up, owners)))
            return
        if site.recovering and site.local in up:
            up.remove(site.local)
        up.sort(key=lambda node: node != site.local)
        self._asked = up[:needed]
        self._pages = {}
        self._op = site.next_op()
        site.operations[self._op] = self
        start, end = partition_range(self._partition, site.topology.partition_bits)
        message = Scan(self._op, max(start, self._cursor), end, self._limit)
        for node in self._asked:
            if node == site.local:
                site.runtime.call_soon(self._read_own, message)
            else:
                site.transport.send(node, message)

    def _read_own(self, message: Scan) -> None:
        try:
            page = self._replica.page(message)
        except StorageError as error:
            self._end(Failure.of(error))
        else:
            self.on_page(self._site.local, page)

    def on_page(self, node: int, page: Page) -> None:
        if self.ended or page.op != self._op or node not in self._asked:
            return
        self._pages[node] = page
        if len(self._pages) == len(self._asked):
            del self._site.operations[self._op]
            try:
                self._take()
            except KvorumError as error:
                self._end(Failure.of(error))

    def _take(self) -> None:
        """Merge what all owners have paged past, and go on or end."""
        cut = [page.pairs[-1][0] for page in self._pages.values() if page.more]
        upto = min(cut) if cut else None
        records: dict[bytes, Record] = {}
        for page in self._pages.values():
            for key, data in page.pairs:
                if upto is None or key <= upto:
                    records[key] = merge(records.get(key, EMPTY), self._decoded(key, data))
        for key in sorted(records):
            self._give(key, records[key])
            if self._full():
                self._end(Listing(self._entries, key))
                return
        if upto is not None:
            self._cursor = upto + b"\0"
        else:
            self._partition += 1
            self._cursor = b""
        self._advanced = True
        if self._partition < self._site.topology.partitions:
            self._site.runtime.call_soon(self._ask)
        else:
            self._end(Listing(self._entries, b""))

    def _decoded(self, key: bytes, data: bytes) -> Record:
        try:
            return decode(key, data)
        except CorruptRecord:
            self._site.counters.corrupt_records += 1
            return EMPTY

    def _give(self, storage_key: bytes, record: Record) -> None:
        namespace, key = split_storage_key(storage_key)
        if namespace != self._namespace:
            return
        shown = visible(record, self._site.clocks)
        if shown.versions:
            self._entries.append((key, shown))
            self._bytes += sum(len(version.value) for version in shown.versions)

    def _full(self) -> bool:
        return len(self._entries) >= self._limit or self._bytes >= ANSWER_BYTES_MAX

    def on_refused(self, node: int, code: str) -> None:
        self.on_peer_lost(node)

    def on_peer_lost(self, node: int) -> None:
        if not self.ended and node in self._asked and node not in self._pages:
            self._site.operations.pop(self._op, None)
            self._ask()

    def on_deadline(self) -> None:
        """End with what there is, if the scan has got on at all: the cursor goes on from there."""
        if self._advanced:
            start, _ = partition_range(self._partition, self._site.topology.partition_bits)
            self._end(Listing(self._entries, self._cursor[:-1] or start))
            return
        got = len(self._pages)
        error = TimeoutExpired(
            f"wanted {self._settings.read} replicas to scan, got {got} before the deadline; retry",
            needed=self._settings.read,
            got=got,
        )
        self._end(Failure.of(error))

    def _end(self, result: Listing | Failure) -> None:
        if not self.ended:
            self.ended = True
            self._site.operations.pop(self._op, None)
            self._reply(result)


def _settings(site: Site, namespace: str) -> NamespaceSettings:
    settings = site.topology.namespaces.get(namespace)
    if settings is None:
        raise NamespaceNotFound(
            f"wanted one of the namespaces {sorted(site.topology.namespaces)}, got {namespace!r}"
        )
    return settings

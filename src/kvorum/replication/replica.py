"""The replica: serves what coordinators ask of this node's own store."""

from __future__ import annotations

from kvorum.model.errors import (
    DiskFull,
    KvorumError,
    Overloaded,
    ProtocolError,
    StorageError,
    UnavailableError,
)
from kvorum.model.keys import is_range_start, is_record_key
from kvorum.model.record import digest, is_sound
from kvorum.replication.graveyard import is_tombstone
from kvorum.replication.hints import Hints
from kvorum.replication.site import Site, ignore
from kvorum.storage.store import COLD
from kvorum.wire.frames import FRAME_BYTES_MAX
from kvorum.wire.messages import (
    Coming,
    Fetch,
    Handoff,
    Have,
    Page,
    Read,
    Refused,
    Same,
    Scan,
    Write,
    Wrote,
)

PAGE_BYTES_MAX = 4 << 20
_FIRST_RECORDS = 8


class Replica:
    __slots__ = ("_hints", "_site")

    def __init__(self, site: Site, hints: Hints) -> None:
        self._site = site
        self._hints = hints

    def on_write(self, node: int, message: Write) -> None:
        """Merge the record in; say so once it is durable here."""
        _check_record_key(message.key)
        if self._site.is_warm(message.key, self._write, (node, message)):
            self._write((node, message))

    def _write(self, asked: tuple[int, Write]) -> None:
        node, message = asked
        site, key, record = self._site, message.key, message.record
        try:
            site.check_pressure(key)
        except Overloaded as error:
            self._refuse(node, message.op, error)
            return
        if message.base is not None and is_sound(key, record):
            try:
                held = site.store.get(key) or b""
            except StorageError:
                pass  # merge_in meets it again, and knows what to do
            else:
                if message.base == digest(held):
                    site.put(key, held, record, self._on_durable, (node, message.op))
                    return
        site.merge_in(key, record, self._on_durable, (node, message.op))
        if message.anew:
            site.doubts.renew(key)

    def on_handoff(self, node: int, message: Handoff) -> None:
        """Merge the record in, in the place of an owner that is away, and note who is owed it."""
        site, key = self._site, message.key
        _check_record_key(key)
        if message.owner not in site.owners_of(key) or message.owner == site.local:
            raise ProtocolError(
                f"wanted an owner of the key that is away, got node {message.owner}; "
                "the nodes' cluster files differ"
            )
        if not is_sound(key, message.record):
            self._refuse(node, message.op, StorageError("the record is damaged"))
        elif site.is_warm(key, self._take_over, (node, message)):
            self._take_over((node, message))

    def _take_over(self, asked: tuple[int, Handoff]) -> None:
        node, message = asked
        site, key = self._site, message.key
        try:
            site.check_pressure(key)
            if not is_tombstone(key, message.record):
                site.check_room(key)
            self._hints.keep(message.owner, key, len(message.record), ignore, None)
        except (DiskFull, Overloaded) as error:
            self._refuse(node, message.op, error)
            return
        # One log, in order: once the record is durable the note is too. And not the other way
        # round: where the record cannot be merged in, there is nothing to vouch for.
        site.merge_in(key, message.record, self._on_durable, (node, message.op))

    def _on_durable(self, asker: tuple[int, int], error: StorageError | None) -> None:
        node, op = asker
        if error is not None:
            self._refuse(node, op, error)
        elif op:
            self._site.transport.send(node, Wrote(op))

    def on_read(self, node: int, message: Read) -> None:
        site, key = self._site, message.key
        if not is_record_key(key):
            raise _not_a_record(key)
        if site.recovering:
            self._refuse(node, message.op, _recovering())
            return
        try:
            found = site.store.find(key, self._on_fetched, (node, message))
            if found is not COLD:
                self._answer(node, message, found)
        except StorageError as error:
            self._refuse(node, message.op, error)

    def _on_fetched(self, asked: tuple[int, Read]) -> None:
        node, message = asked
        try:
            self._answer(node, message, self._site.store.get(message.key))
        except StorageError as error:
            self._refuse(node, message.op, error)

    def _answer(self, node: int, message: Read, found: bytes | None) -> None:
        site = self._site
        if site.doubts.tokens:
            site.check_doubt(message.key)
        self._give(node, message, site.sound(message.key, found))

    def _give(self, node: int, message: Read | Fetch, data: bytes) -> None:
        transport = self._site.transport
        if digest(data) == message.digest:
            transport.send(node, Same(message.op))
            return
        if len(data) > FRAME_BYTES_MAX:
            transport.send(node, Coming(message.op, len(data)))
        transport.send(node, Have(message.op, data))

    def on_fetch(self, node: int, message: Fetch) -> None:
        """As `on_read`, for a comparison: what is held, whoever may vouch for it."""
        _check_record_key(message.key)
        if self._site.is_warm(message.key, self._hand_out, (node, message)):
            self._hand_out((node, message))

    def _hand_out(self, asked: tuple[int, Fetch]) -> None:
        node, message = asked
        try:
            data = self._site.read_bytes(message.key)
        except StorageError as error:
            self._refuse(node, message.op, error)
        else:
            self._give(node, message, data)

    def on_scan(self, node: int, message: Scan) -> None:
        if not is_range_start(message.start):
            raise ProtocolError(f"wanted a range of records, got {message.start[:9]!r}...")
        if self._site.recovering and message.limit:
            self._refuse(node, message.op, _recovering())
            return
        try:
            page = self.page(message)
        except StorageError as error:
            self._refuse(node, message.op, error)
        else:
            self._site.transport.send(node, page)

    def page(self, message: Scan) -> Page:
        """The next records of a range, as many as were asked for and fit, and where others are
        that cannot be read. Raises StorageError.
        """
        site, start, end = self._site, message.start, message.end
        if not message.limit:
            return Page(message.op, [], True, site.store.unreadable(start, end))
        pairs, more = self._pairs(message)
        if more:
            end = pairs[-1][0] + b"\0"
        unreadable = site.store.unreadable(start, end)
        if site.doubts.tokens:
            unreadable = unreadable + site.doubts.ranges(start, end)
        return Page(message.op, pairs, more, unreadable)

    def _pairs(self, message: Scan) -> tuple[list[tuple[bytes, bytes]], bool]:
        """Records, and whether the range may go on behind them.

        They are fetched a few at a time, as records may be large: at first `_FIRST_RECORDS`,
        then as many as the rest of the page holds, by the size of those so far. However large a
        record is, it goes with the page that it would begin.
        """
        pairs: list[tuple[bytes, bytes]] = []
        size, start, step = 0, message.start, _FIRST_RECORDS
        while len(pairs) < message.limit and size < PAGE_BYTES_MAX:
            wanted = min(step, message.limit - len(pairs))
            found = self._site.store.scan(start, message.end, wanted)
            for key, data in found:
                if size >= PAGE_BYTES_MAX:
                    return pairs, True
                pairs.append((key, data))
                size += len(key) + len(data)
            if len(found) < wanted:
                return pairs, False
            start = pairs[-1][0] + b"\0"
            step = max(1, (PAGE_BYTES_MAX - size) * len(pairs) // size)
        return pairs, True

    def _refuse(self, node: int, op: int, error: KvorumError) -> None:
        if op:
            self._site.transport.send(node, Refused(op, error.code, error.message))


def _recovering() -> UnavailableError:
    return UnavailableError("wanted a complete replica, got one that recovers from an empty disk")


def _check_record_key(key: bytes) -> None:
    if not is_record_key(key):
        raise _not_a_record(key)


def _not_a_record(key: bytes) -> ProtocolError:
    return ProtocolError(f"wanted the storage key of a record, got {key[:9]!r}...")

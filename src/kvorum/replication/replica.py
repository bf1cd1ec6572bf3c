"""The replica: serves what coordinators ask of this node's own store."""

from __future__ import annotations

from kvorum.model.errors import ProtocolError, StorageError
from kvorum.model.keys import is_record_key
from kvorum.model.record import digest
from kvorum.replication.site import Site
from kvorum.wire.messages import Have, Page, Read, Refused, Same, Scan, Write, Wrote

PAGE_BYTES_MAX = 4 << 20
PAGE_RECORDS_MAX = 4096


class Replica:
    __slots__ = ("_site",)

    def __init__(self, site: Site) -> None:
        self._site = site

    def on_write(self, node: int, message: Write) -> None:
        """Merge the record in; say so once it is durable here."""
        _check_record_key(message.key)
        self._site.merge_in(message.key, message.record, self._on_durable, (node, message.op))

    def _on_durable(self, asker: tuple[int, int], error: StorageError | None) -> None:
        node, op = asker
        if error is not None:
            self._refuse(node, op, error)
        elif op:
            self._site.transport.send(node, Wrote(op))

    def on_read(self, node: int, message: Read) -> None:
        _check_record_key(message.key)
        try:
            data = self._site.read_local(message.key)[0]
        except StorageError as error:
            self._refuse(node, message.op, error)
            return
        if digest(data) == message.digest:
            self._site.transport.send(node, Same(message.op))
        else:
            self._site.transport.send(node, Have(message.op, data))

    def on_scan(self, node: int, message: Scan) -> None:
        _check_record_key(message.start)
        self._site.transport.send(node, self.page(message))

    def page(self, message: Scan) -> Page:
        pairs = self._site.store.scan(
            message.start, message.end, min(message.limit, PAGE_RECORDS_MAX)
        )
        kept = _bounded(pairs)
        return Page(message.op, kept, len(kept) < len(pairs) or len(pairs) >= message.limit)

    def _refuse(self, node: int, op: int, error: StorageError) -> None:
        if op:
            self._site.transport.send(node, Refused(op, error.code, error.message))


def _check_record_key(key: bytes) -> None:
    if not is_record_key(key):
        raise ProtocolError(f"wanted the storage key of a record, got {key[:16]!r}...")


def _bounded(pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The first pairs that fit a page, at least one."""
    size = 0
    for count, (key, data) in enumerate(pairs):
        size += len(key) + len(data)
        if size > PAGE_BYTES_MAX and count:
            return pairs[:count]
    return pairs

"""Ingesting: records that were made elsewhere, merged into their owners as they are.

A restore or an import brings records with their versions. Nothing is minted here, so any node
may lead: it sends the record to all N owners, each merges it into what it has (`replica.py`),
and W durable acknowledgements end it well. Merging is idempotent: whoever is in doubt about the
outcome may repeat it.

An owner that is away is owed a hint, where this node is an owner too and so keeps hints; else
anti-entropy brings it the record. Nobody stands in: only owners count, whatever the namespace says.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.model.errors import (
    InvalidValue,
    KvorumError,
    Overloaded,
    RequestError,
)
from kvorum.model.record import Record, encode
from kvorum.model.request import Answer, Failure, Result
from kvorum.replication.coordinator import OPERATIONS_MAX, RECORD_BYTES_MAX
from kvorum.replication.hints import Hints
from kvorum.replication.site import Site
from kvorum.replication.write import IN_VAIN, WriteOperation

Reply = Callable[[Result], object]


class Ingest:
    __slots__ = ("_hints", "_site")

    def __init__(self, site: Site, hints: Hints) -> None:
        self._site = site
        self._hints = hints

    def submit(self, namespace: str, key: str, record: Record, w: int, reply: Reply) -> None:
        """Merge `record` into its owners; `reply` comes once, after this has returned.

        `w`: 0 is the namespace's.
        """
        site = self._site
        try:
            if len(site.operations) >= OPERATIONS_MAX:
                raise Overloaded("wanted room for another operation, got none", retry_after=1)
            place = site.place(namespace, key, "strict")
            needed = w or place.settings.write
            if needed > place.settings.replicas:
                raise RequestError(
                    f"wanted w from 1 to {place.settings.replicas}, the namespace's replicas, "
                    f"got {needed}"
                )
            up = [node for node in place.owners if site.is_up(node)]
            if len(up) < needed:
                raise site.too_few("store it", needed, up, place.owners)
            if site.unshredded(place.key, record) is not record:
                raise RequestError(
                    f"The record was written before namespace {namespace!r} was shredded, and is "
                    "not taken back; import it with new versions"
                )
            data = encode(place.key, record)
            if len(data) > RECORD_BYTES_MAX:
                raise InvalidValue(
                    f"wanted a record of at most {RECORD_BYTES_MAX} bytes, got {len(data)}"
                )
        except KvorumError as error:
            site.runtime.call_soon(reply, Failure.of(error))
            return
        operation = IngestOperation(site, self._hints, place, needed, Answer(record), reply)
        operation.start(data, None, place.settings.timeout_ms)


class IngestOperation(WriteOperation):
    """A replicated write of a record that does not follow on what is held: owners merge it."""

    __slots__ = ()

    _advice = "repeat it, which does no harm"

    def _keep_here(self) -> int:
        return IN_VAIN  # only owners count

    def _store_here(self, held: bytes | None, data: bytes) -> None:
        self._site.merge_in(self._place.key, data, self._on_stored, self._site.local)

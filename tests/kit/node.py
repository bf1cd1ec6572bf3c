"""A node of one replica in memory: what the service and its faces are tested against.

Answers come in the next loop iteration, or when a test lets them (`holding`), so that tests
decide the order. Nothing is stored but records, made by the model's own rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kvorum.documents.health import Health, Readiness
from kvorum.model.errors import InvalidKey, NotFound, PreconditionFailed, RequestError
from kvorum.model.keys import encode_key
from kvorum.model.record import EMPTY, Event, Record, delete, write
from kvorum.model.request import (
    ABSENT,
    EXACT,
    PRESENT,
    Answer,
    Change,
    Failure,
    Get,
    Listing,
    Put,
    Request,
    Result,
    Selection,
    Touch,
    Unreadable,
    tell_hinted,
)

ACTOR = 0xA1
OTHER = 0xB2
STRANGER = 0xC3
NAMES = {ACTOR: "n1", OTHER: 'n2 "é"'}
SECRET = b"a secret of the whole cluster"
BORN_MS = 1_700_000_000_000


def actor_name(actor: int) -> str:
    return NAMES.get(actor, f"{actor:016x}")


class FakeNode:
    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Record] = {}
        self.requests: list[Request] = []
        self.holding = False
        self.held: list[tuple[Request, Callable[[Result], object]]] = []
        self.failure: Failure | None = None
        self.damaged = False
        """What is there cannot be read any more."""
        self.hinted = 0
        """How many nodes stand in for it."""
        self.unreadable: list[Unreadable] = []
        self.repair: dict[str, Any] = {}
        self.ingested: list[tuple[str, str, Record, int]] = []
        self.unable: dict[str, Failure] = {}
        """What becomes of records of these keys, where they are to be ingested."""
        self.unwell: list[str] = []
        """Why it is neither healthy nor ready."""
        self._counter = 0

    # The port of health checks

    def health(self) -> Health:
        return Health(healthy=not self.unwell, reasons=self.unwell)

    def readiness(self) -> Readiness:
        return Readiness(ready=not self.unwell, reasons=self.unwell)

    # The coordinator port

    def submit(self, request: Request, reply: Callable[[Result], object], /) -> None:
        try:
            encode_key(request.key)
        except InvalidKey as error:
            asyncio.get_running_loop().call_soon(reply, Failure.of(error))
            return
        self.requests.append(request)
        if self.holding:
            self.held.append((request, reply))
        else:
            asyncio.get_running_loop().call_soon(reply, self.result(request))

    def scan(
        self,
        selection: Selection,
        reply: Callable[[Listing | Failure], object],
        /,
    ) -> None:
        after, limit = selection.cursor or selection.start_after.encode(), selection.limit
        found = [
            (key, record)
            for (space, key), record in sorted(self.records.items())
            if space == selection.namespace and record.versions and key.encode() > after
            if key.startswith(selection.prefix)
        ]
        cursor = found[limit - 1][0].encode() if len(found) > limit else b""
        page = Listing(
            cursor,
            self.unreadable,
            entries=found[:limit] if selection.give == "entries" else [],
            keys=[key for key, _ in found[:limit]] if selection.give == "keys" else [],
            count=len(found[:limit]) if selection.give == "count" else 0,
        )
        asyncio.get_running_loop().call_soon(reply, self.failure or page)

    def ingest(
        self,
        namespace: str,
        key: str,
        record: Record,
        w: int,
        reply: Callable[[Result], object],
        /,
    ) -> None:
        self.ingested.append((namespace, key, record, w))
        result = self.unable.get(key) or Answer(record)
        asyncio.get_running_loop().call_soon(reply, result)

    # The introspection port

    def status(self) -> Any:
        return {"node": "n1", "records": len(self.records)}

    def ring(self) -> Any:
        return {"partitions": []}

    def accept_clock(self) -> Any:
        return {"node": "n1", "clock": {"state": "accepted"}}

    def locate(self, namespace: str, key: str, reply: Callable[[Any], object], /) -> None:
        if namespace == "nowhere":
            raise RequestError("There is no namespace 'nowhere'.")
        encode_key(key)
        document = {"key": key, "namespace": namespace, "owners": ["n1"]}
        asyncio.get_running_loop().call_soon(reply, self.failure or document)

    # The metrics port

    def write(self, done: Callable[[bytes | None], object], /) -> None:
        text = None if self.failure else b"# TYPE kvorum_node_up gauge\n"
        asyncio.get_running_loop().call_soon(done, text)

    # The repairs port

    def begin(
        self, namespace: str | None, partition: int | None, key: str | None, /, *, full: bool
    ) -> Any:
        if partition == 999:
            raise RequestError("There is no partition 999.")
        self.repair = {
            "id": "a1",
            "namespace": namespace,
            "partition": partition,
            "key": key,
            "full": full,
        }
        return self.repair

    def progress(self, number: str, /) -> Any:
        if number != "a1":
            raise NotFound(f"There is no repair {number!r}.")
        return self.repair

    def overview(self) -> Any:
        return {"runs": [], "partitions": []}

    # What tests do

    def answer(self, index: int) -> None:
        """Let the held request at `index` have its answer."""
        request, reply = self.held.pop(index)
        reply(self.result(request))

    def record(self, key: str, namespace: str = "default") -> Record:
        return self.records.get((namespace, key), EMPTY)

    def diverge(self, key: str, value: bytes, kind: int = 1) -> None:
        """Another replica's write of `key` that has seen nothing."""
        self.records["default", key] = write(self.record(key), (), self._mint(OTHER), kind, value)

    def result(self, request: Request) -> Result:
        if self.failure is not None:
            return self.failure
        record = self.record(request.key, request.namespace)
        if isinstance(request, Get):
            return Answer(record, hinted=self.hinted)
        error = _unmet(request, record)
        if error is not None:
            return Failure.of(error)
        seen = record.context if request.seen is None else request.seen
        if isinstance(request, Put):
            expires = self._expires(request)
            after = write(record, seen, self._mint(), request.kind, request.value, expires)
            answer = Answer(after, created=not record.versions)
        elif isinstance(request, Touch):
            if not record.versions:
                return Failure.of(NotFound("wanted a live version, got none"))
            [held] = record.versions
            expires = self._expires(request)
            after = write(record, seen, self._mint(), held.kind, held.value, expires)
            answer = Answer(after)
        else:
            if not record.versions and not self.damaged:
                error = NotFound("wanted a live version, got none")
                tell_hinted(error, self.hinted)
                return Failure.of(error)
            after = delete(record, seen, self._mint())
            answer = Answer(record if record.versions else after)
        self.records[request.namespace, request.key] = after
        return answer

    def _expires(self, request: Put | Touch) -> int:
        return request.expires or (BORN_MS + request.ttl * 1000 if request.ttl else 0)

    def _mint(self, actor: int = ACTOR) -> Event:
        self._counter += 1
        return Event(actor, self._counter, BORN_MS + self._counter)


def _unmet(request: Change, record: Record) -> PreconditionFailed | NotFound | None:
    live = bool(record.versions)
    met = {ABSENT: not live, PRESENT: live, EXACT: request.seen == record.context}
    if met.get(request.expect, True):
        return None
    return PreconditionFailed("wanted another version")

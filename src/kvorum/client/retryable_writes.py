"""Writes of unknown outcome: what became of one is looked up; it is repeated where that is safe.

A write has an unknown outcome if it was sent and no answer came. A read of the key then shows one
of these:

    the version that the write itself named         it was not carried out: that would have left
                                                    another version
    nothing, nor a trace of anything deleted        it was not carried out, if it was sent a short
                                                    time ago: traces stay for a while
    the value of a set without a condition, alone,  it was carried out, or an equal one was, which
    and with the same lifetime                      a reader cannot tell apart
    anything else                                   cannot be told: another client may have
                                                    replaced or deleted what this one wrote

In the first three cases the write is repeated under the condition that the entry is still as it was
read, so that another client's write is not replaced unseen: the servers refuse the repetition
(PreconditionFailed), or, where both come at the same moment, keep both as siblings. A repeated set
of the value that is there makes no new version, and still reaches W replicas. In the last case the
caller is told that the outcome is unknown. What a server that hangs has received it may still carry
out later, in every case. (Compare the retryable writes of MongoDB, which number
each write; here the version is what makes a write repeatable.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from kvorum.client import answers, requests
from kvorum.client.answers import Answer
from kvorum.client.entry import Entry
from kvorum.client.requests import ABSENT, Request
from kvorum.model.errors import KvorumError, NotFound, PreconditionFailed, UnavailableError

TRACE_S: Final = 30.0
"""Of what is deleted there is a trace for longer than this (`repair/upkeep.py`: 60 s)."""
_LIFETIME_SLACK_MS: Final = 500
"""Within a request, the moments that a lifetime and a write are counted from may differ so much."""

_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_metadata: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


class Asker(Protocol):
    """Carries out requests, as `Calls` does."""

    def now(self) -> float:
        """The clock deadlines are told in."""

    def pauses(self) -> Iterator[float]:
        """How long to wait before each repeat."""

    async def carry_out(self, request: Request, deadline: float, *, hasty: bool = False) -> Answer:
        """The 2xx answer to `request`."""


class Unsettled(NamedTuple):
    """A write of unknown outcome: the error it ended with, and when it began."""

    request: Request
    error: KvorumError
    began: float


async def settle(asker: Asker, write: Unsettled, deadline: float) -> Answer:
    """The answer to a repetition of `write`. Raises its error if it cannot be repeated safely, or
    not in time."""
    request = write.request
    for pause in asker.pauses():
        if request.about is None or asker.now() + pause >= deadline:
            break
        await asyncio.sleep(pause)
        try:
            found = await _find(asker, request, deadline)
        except UnavailableError:
            continue
        except KvorumError:
            break
        again = repetition(request, found, asker.now() - write.began)
        if again is None:
            break
        try:
            return await asker.carry_out(again, deadline, hasty=True)
        except KvorumError as error:
            changed = isinstance(error, PreconditionFailed)  # Perhaps by the write itself.
            if not (changed or error.outcome == "unknown" or isinstance(error, UnavailableError)):
                break
    raise write.error


def repetition(request: Request, found: Entry | NotFound, age_s: float) -> Request | None:
    """`request`, which began `age_s` ago, under the condition that its key is still as it was
    `found`; None if a write that came later may be replaced by it."""
    if isinstance(found, NotFound):
        untouched = "valueVersion" not in found.details and found.strict and age_s < TRACE_S
        return _under(request, ABSENT) if untouched and _is_set(request) else None
    if found.version is None or not found.strict:
        return None
    if found.version == _named_version(request) or _is_held(request, found):
        return _under(request, requests.condition(found.version))
    return None


async def _find(asker: Asker, request: Request, deadline: float) -> Entry | NotFound:
    """What the key of `request` holds, as a quorum of its namespace has it."""
    assert request.about is not None
    key = request.about.key
    try:
        answer = await asker.carry_out(
            requests.get(key, request.about.namespace, None, "strict"), deadline
        )
    except NotFound as error:
        return error
    return answers.found(key, answer)


def _is_set(request: Request) -> bool:
    return request.method == "POST"


def _named_version(request: Request) -> str | None:
    """The version that a write was made from, if it says so."""
    for name, tag in request.condition:
        if name == "if-match":
            return tag.strip('"')
    if request.method == "DELETE":
        return dict(request.query).get("valueVersion")
    version = _metadata(_decode(request.body)).get("valueVersion")
    return version if isinstance(version, str) else None


def _is_held(request: Request, found: Entry) -> bool:
    """`request` sets unconditionally what `found` holds, and nothing else stands beside that."""
    if not _is_set(request) or request.condition or found.siblings:
        return False
    body = _decode(request.body)
    metadata = _metadata(body)
    wanted = bytes(body["value"]), metadata.get("encoding") == "base64", metadata.get("contentType")
    held = found.json, found.binary, found.content_type
    return wanted == held and _has_lifetime(found, metadata)


def _has_lifetime(found: Entry, metadata: dict[str, Any]) -> bool:
    if "expiresAt" in metadata:
        return bool(found.expires_at == metadata["expiresAt"])
    ttl = metadata.get("ttl")
    if ttl is None or found.expires_at is None:
        return ttl is None and found.expires_at is None
    written_at = max((event.timestamp for event in found.clock), default=0)
    return bool(abs(found.expires_at - ttl * 1000 - written_at) < _LIFETIME_SLACK_MS)


def _under(request: Request, condition: requests.Pairs) -> Request:
    """`request` under `condition` in place of whatever it says of versions."""
    query = tuple(pair for pair in request.query if pair[0] != "valueVersion")
    body = _without_version(request.body) if request.body else b""
    return replace(request, query=query, body=body, condition=condition)


def _without_version(body: bytes) -> bytes:
    members = _decode(body)
    metadata = _metadata(members)
    if metadata.pop("valueVersion", None) is not None:
        members["metadata"] = msgspec.Raw(_encode(metadata))
        return _encode(members)
    return body


def _metadata(body: dict[str, msgspec.Raw]) -> dict[str, Any]:
    return _decode_metadata(body["metadata"]) if "metadata" in body else {}

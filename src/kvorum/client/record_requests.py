"""The requests about records with their versions, as values; see `requests.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from kvorum.client import answers
from kvorum.client.answers import Answer
from kvorum.client.requests import Request, query_of
from kvorum.documents.reading import read
from kvorum.model.errors import KvorumError, ProtocolError
from kvorum.model.request import Unreadable


class PortableRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record with its versions, as `model/portable_record.py` makes it; base64 in JSON."""

    key: str
    record: bytes
    namespace: str | None = None


class RecordPage(msgspec.Struct, frozen=True):
    """A page of records; `cursor` is where the next one begins, None after the last."""

    records: list[PortableRecord]
    cursor: str | None = None
    unreadable: list[Unreadable] = []


class _Body(msgspec.Struct):
    records: Sequence[PortableRecord]


class _Outcome(msgspec.Struct):
    status: int
    error: dict[str, Any] | None = None


class _Outcomes(msgspec.Struct):
    records: list[_Outcome]


_encode: Final = msgspec.json.Encoder().encode


def put_many(records: Sequence[PortableRecord], w: int | None) -> Request:
    """Merging a record twice does no harm, so this may be repeated whatever became of it."""
    return Request(
        "POST", "/records", query_of(w=w), _encode(_Body(records)), safe=True, timed=False
    )


def page(namespace: str | None, cursor: str | None, limit: int) -> Request:
    """One page of records, as they are."""
    query = query_of(namespace=namespace, cursor=cursor, limit=limit)
    return Request("GET", "/records", query, safe=True, timed=False)


def failures(document: dict[str, Any], wanted: int) -> list[KvorumError | None]:
    """What became of each record: None if it is stored."""
    outcomes = read(document, _Outcomes).records
    if len(outcomes) != wanted:
        raise ProtocolError(f"The answer has {len(outcomes)} outcomes for {wanted} records.")
    return [
        None
        if outcome.error is None
        else answers.error(Answer(outcome.status, _encode(outcome.error)))
        for outcome in outcomes
    ]


def found(document: dict[str, Any]) -> RecordPage:
    """The page of records in an answer. Raises ProtocolError."""
    return read(document, RecordPage)

"""The HTTP API as it comes in: entries, lists of outcomes, and errors with their types.

A problem (RFC 9457) carries a stable `code`, which names the error's class, and `outcome`.
What a server leaves open is read with caution: an answer to a write that makes no sense has
the outcome "unknown".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from kvorum.client import refusals
from kvorum.client.conflicts import OnConflict, value_or_error
from kvorum.client.entry import ClockEntry, Entry, Sibling
from kvorum.client.listing import ClearPage, CountPage, Page
from kvorum.client.serializers import Serializer
from kvorum.client.values import JsonText
from kvorum.documents.problem import Problem
from kvorum.model import errors
from kvorum.model.errors import KvorumError, NotFound, Outcome, ProtocolError
from kvorum.model.request import Unreadable

Result = Entry | KvorumError
"""What became of one item of a list."""

_CREATED: Final = 201
_WHO_ASKS: Final = (401, 429)
"""The statuses of refusals that another client might not get."""
_OWN_FIELDS: Final = {*Problem.__struct_fields__, "instance"} - {"advice"}
"""Members of a problem that are no details of the error."""
_RESERVED: Final = {"self", "message"}
_EXCERPT_BYTES: Final = 80
_NO_VALUE: Final = msgspec.Raw()


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `unverified` is what is known of the request's effect if it says nothing."""

    status: int
    body: bytes
    retry_after: float | None = None
    unverified: Outcome = "none"
    closes: bool = False
    """The server takes no more requests on this connection."""

    @property
    def ok(self) -> bool:
        """True for a status of 2xx."""
        return 200 <= self.status < 300

    @property
    def leaves(self) -> bool:
        """The server ends the connection, and not because of who asks: it may be about to stop."""
        return self.closes and self.status not in _WHO_ASKS


class _Metadata(msgspec.Struct, rename="camel"):
    value_version: str | None = None
    clock: list[tuple[str, int, int]] = []
    hash: str | None = None
    encoding: str | None = None
    content_type: str | None = None
    strict: bool = True
    hints: int = 0
    unread: bool = False
    expires_at: int | None = None


class _Sibling(msgspec.Struct):
    value: msgspec.Raw
    metadata: _Metadata


class _Found(_Sibling):
    siblings: list[_Sibling] = []
    key: str = ""


class _Written(msgspec.Struct):
    metadata: _Metadata
    siblings: list[_Sibling] = []


class _Item(msgspec.Struct):
    status: int
    value: msgspec.Raw = _NO_VALUE
    metadata: _Metadata | None = None
    siblings: list[_Sibling] = []
    error: dict[str, Any] | None = None


class _Items(msgspec.Struct):
    entries: list[_Item]


class _Page(msgspec.Struct):
    entries: list[_Found] | msgspec.UnsetType = msgspec.UNSET
    keys: list[str] | msgspec.UnsetType = msgspec.UNSET
    cursor: str | None = None
    unreadable: list[Unreadable] = []


class _Count(msgspec.Struct):
    count: int
    cursor: str | None = None
    unreadable: list[Unreadable] = []


class _Cleared(msgspec.Struct):
    deleted: int
    cursor: str | None = None
    unreadable: list[Unreadable] = []


_T = TypeVar("_T")

_found: Final = msgspec.json.Decoder(_Found)
_written: Final = msgspec.json.Decoder(_Written)
_items: Final = msgspec.json.Decoder(_Items)
_page: Final = msgspec.json.Decoder(_Page)
_count: Final = msgspec.json.Decoder(_Count)
_cleared: Final = msgspec.json.Decoder(_Cleared)
_object: Final = msgspec.json.Decoder(dict[str, Any])


def found(key: str, answer: Answer) -> Entry:
    """The entry a get or a delete answered. Raises ProtocolError."""
    body = _decode(_found, answer)
    return _entry(key, _text(body.value, body.metadata), body.metadata, body.siblings)


def touched(answer: Answer) -> int | None:
    """When an entry that has been touched expires (ms), None if never. Raises ProtocolError."""
    return _decode(_written, answer).metadata.expires_at


def written(key: str, text: JsonText, answer: Answer) -> Entry:
    """The entry as it is after a put of `text`. Raises ProtocolError."""
    body = _decode(_written, answer)
    created = answer.status == _CREATED
    return _entry(key, text, body.metadata, body.siblings, created=created)


def found_many(keys: list[str], answer: Answer) -> list[Result]:
    """For each key, in order, its entry or its error. Raises ProtocolError."""
    return [
        _item_error(key, item, answer)
        if item.metadata is None or item.value is _NO_VALUE
        else _entry(key, _text(item.value, item.metadata), item.metadata, item.siblings)
        for key, item in zip(keys, _decode_items(answer, len(keys)), strict=True)
    ]


def written_many(items: list[tuple[str, JsonText]], answer: Answer) -> list[Result]:
    """For each (key, value), in order, its entry or its error. Raises ProtocolError."""
    return [
        _item_error(key, item, answer)
        if item.metadata is None
        else _entry(key, text, item.metadata, item.siblings, created=item.status == _CREATED)
        for (key, text), item in zip(items, _decode_items(answer, len(items)), strict=True)
    ]


def values_of(keys: list[str], results: list[Result], on_conflict: OnConflict) -> dict[str, Any]:
    """The values of those `keys` that have one; of siblings what `on_conflict` decides. Raises the
    first other error in `results`."""
    values: dict[str, Any] = {}
    for key, result in zip(keys, results, strict=True):
        if isinstance(result, Entry):
            values[key] = value_or_error(result, on_conflict)
        elif not isinstance(result, NotFound):
            raise result
    return values


def read_by(serializer: Serializer | None, results: list[Result]) -> list[Result]:
    """The same `results`, whose values are read by `serializer`."""
    if serializer is None:
        return results
    return [it.read_by(serializer) if isinstance(it, Entry) else it for it in results]


def existing_many(keys: list[str], answer: Answer) -> list[bool | KvorumError]:
    """For each key, in order, whether it has a value, or its error. Raises ProtocolError."""
    return [
        _done_or_missing(key, item, answer)
        for key, item in zip(keys, _decode_items(answer, len(keys)), strict=True)
    ]


deleted_many: Final = existing_many
"""For each key, in order, whether it was deleted (False: it had no value), or its error."""


def touched_many(keys: list[str], answer: Answer) -> list[int | KvorumError | None]:
    """For each key, in order, when it expires (ms; None: never), or its error. Raises
    ProtocolError."""
    return [
        _item_error(key, item, answer) if item.metadata is None else item.metadata.expires_at
        for key, item in zip(keys, _decode_items(answer, len(keys)), strict=True)
    ]


def page(answer: Answer, *, keys_only: bool = False) -> Page:
    """The page of a listing. Raises ProtocolError."""
    body = _decode(_page, answer)
    if keys_only:
        if isinstance(body.keys, msgspec.UnsetType):
            raise _senseless(answer, "a page of keys has none")
        return Page([], body.cursor, body.unreadable, body.keys)
    if isinstance(body.entries, msgspec.UnsetType):
        raise _senseless(answer, "a page of entries has none")
    entries = [
        _entry(e.key, _text(e.value, e.metadata), e.metadata, e.siblings) for e in body.entries
    ]
    return Page(entries, body.cursor, body.unreadable, [])


def count_page(answer: Answer) -> CountPage:
    """A part of a count. Raises ProtocolError."""
    body = _decode(_count, answer)
    return CountPage(body.count, body.cursor, body.unreadable)


def clear_page(answer: Answer) -> ClearPage:
    """A part of a deletion by prefix. Raises ProtocolError."""
    body = _decode(_cleared, answer)
    return ClearPage(body.deleted, body.cursor, body.unreadable)


def document(answer: Answer) -> dict[str, Any]:
    """A JSON object as it is. Raises ProtocolError."""
    return _decode(_object, answer)


def error(answer: Answer) -> KvorumError:
    """The error an answer other than 2xx stands for."""
    try:
        problem = _object.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = {"detail": f"The server answered HTTP {answer.status}: {_excerpt(answer.body)}."}
    if answer.retry_after is not None:
        problem.setdefault("retry_after", answer.retry_after)
    return _error(problem, answer.status, answer.unverified)


def _error(problem: dict[str, Any], status: int, unverified: Outcome) -> KvorumError:
    stated = problem.get("detail") or problem.get("title")
    message = str(stated or f"The server answered HTTP {status}.")
    outcome = "none" if unverified == "none" else _stated_outcome(problem, status)
    details = {k: v for k, v in problem.items() if k not in _OWN_FIELDS | _RESERVED}
    code = problem.get("code")
    if isinstance(code, str) and code in errors.BY_CODE:
        return errors.from_code(code, message, outcome, details)
    made = _class_of_status(status)(message, outcome=outcome, **details)
    if isinstance(code, str):
        made.code = code
    return made


def _stated_outcome(problem: dict[str, Any], status: int) -> Outcome:
    stated = problem.get("outcome", "none" if status < 500 else "unknown")
    return "none" if stated == "none" else "unknown"


def _class_of_status(status: int) -> type[KvorumError]:
    """For a code this client does not know, or an answer without one (a proxy's, say)."""
    if status == 401:
        return errors.Unauthenticated
    if status == 504:
        return errors.TimeoutExpired
    if status == 429:
        return errors.TooManyRequests
    if status in (502, 503):
        return errors.UnavailableError
    if 400 <= status < 500:
        return errors.RequestError
    return KvorumError


def _item_error(key: str, item: _Item, answer: Answer) -> KvorumError:
    if item.error is None:
        return _senseless(answer, f"an item of status {item.status} has neither entry nor error")
    return refusals.of_key(_error(item.error, item.status, answer.unverified), key)


def _done_or_missing(key: str, item: _Item, answer: Answer) -> bool | KvorumError:
    if item.metadata is not None:
        return True
    error = _item_error(key, item, answer)
    return False if isinstance(error, NotFound) else error


def _entry(
    key: str,
    text: JsonText,
    metadata: _Metadata,
    siblings: list[_Sibling],
    *,
    created: bool = False,
) -> Entry:
    return Entry(
        key,
        text.json,
        binary=text.binary,
        content_type=text.content_type,
        version=metadata.value_version,
        clock=_clock(metadata),
        hash=metadata.hash,
        siblings=tuple(map(_sibling, siblings)),
        created=created,
        strict=metadata.strict,
        hints=metadata.hints,
        unread=metadata.unread,
        expires_at=metadata.expires_at,
    )


def _sibling(sibling: _Sibling) -> Sibling:
    metadata = sibling.metadata
    text = _text(sibling.value, metadata)
    return Sibling(
        text.json,
        binary=text.binary,
        content_type=text.content_type,
        clock=_clock(metadata),
        hash=metadata.hash,
        expires_at=metadata.expires_at,
    )


def _clock(metadata: _Metadata) -> tuple[ClockEntry, ...]:
    return tuple(map(ClockEntry._make, metadata.clock))


def _text(value: msgspec.Raw, metadata: _Metadata) -> JsonText:
    return JsonText(bytes(value), metadata.encoding == "base64", metadata.content_type)


def _decode_items(answer: Answer, asked: int) -> list[_Item]:
    items = _decode(_items, answer).entries
    if len(items) != asked:
        raise _senseless(answer, f"it has {len(items)} outcomes for {asked} entries")
    return items


def _decode(decoder: msgspec.json.Decoder[_T], answer: Answer) -> _T:
    try:
        return decoder.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise _senseless(answer, f"it begins {_excerpt(answer.body)} ({cause})") from cause


def _senseless(answer: Answer, why: str) -> ProtocolError:
    return ProtocolError(
        f"The answer is none of the kvorum HTTP API: {why}. Is this a kvorum server?",
        outcome=answer.unverified,
    )


def _excerpt(body: bytes) -> str:
    return repr(body[:_EXCERPT_BYTES].decode(errors="replace"))

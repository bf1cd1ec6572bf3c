"""What is asked about many entries at once: to find those of some keys, and to store some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kvorum.client import answers, requests
from kvorum.client.bulk import Question, Single
from kvorum.client.entry import Entry
from kvorum.client.lifetime import WrongType
from kvorum.client.listing import several
from kvorum.client.requests import Lifetime, Request, Subject
from kvorum.client.serializers import Serializer, packed
from kvorum.client.values import JsonText, encode_value
from kvorum.model.errors import InvalidKey, InvalidValue, KvorumError
from kvorum.model.keys import encode_key
from kvorum.model.topology import QuorumKind


class Put(NamedTuple):
    """An entry to store: `body` is what a request says of it, `text` its value alone."""

    key: str
    text: JsonText
    body: bytes


def put_of(
    key: str, value: object, version: str | None, namespace: str | None, lifetime: Lifetime
) -> Put:
    """Raises InvalidKey, InvalidValue or RequestError."""
    text = encode_value(value)
    return Put(key, text, requests.put_item(key, text, version, namespace, lifetime))


def pairs_of(items: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The (key, value) pairs of `items`. Raises WrongType if some are none."""
    pairs = list(items.items() if isinstance(items, Mapping) else items)
    for pair in pairs:
        if isinstance(pair, str | bytes) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise WrongType(
                f"Entries to store are a dict or (key, value) pairs, and {repr(pair)[:40]} is no "
                "pair. Nothing was stored."
            )
    return [(key, value) for key, value in pairs]


def puts_of(
    items: Iterable[tuple[str, Any, Lifetime]],
    namespace: str | None,
    serializer: Serializer | None,
) -> list[Put | KvorumError]:
    """For each item what to store, or why that cannot be. Raises RequestError for a lifetime."""
    puts: list[Put | KvorumError] = []
    for key, value, lifetime in items:
        try:
            puts.append(put_of(key, packed(value, serializer), None, namespace, lifetime))
        except (InvalidKey, InvalidValue) as error:
            puts.append(error)
    return puts


def keys_of(keys: Iterable[str]) -> list[str | KvorumError]:
    """Each key, or why it is none. Raises WrongType for a single one."""
    return list(map(_key_or_error, several(keys)))


def finding(
    namespace: str | None, r: int | None, quorum: QuorumKind | None
) -> Question[str, Entry]:
    """Asks for the entries of keys."""
    return Question(
        request=lambda keys: requests.get_many(keys, namespace, r, quorum),
        results=answers.found_many,
        size=_json_bytes_max,
    )


def existing(
    namespace: str | None, r: int | None, quorum: QuorumKind | None
) -> Question[str, bool]:
    """Asks whether keys have values."""
    return Question(
        request=lambda keys: requests.exist_many(keys, namespace, r, quorum),
        results=answers.existing_many,
        size=_json_bytes_max,
    )


def deleting(
    namespace: str | None, w: int | None, quorum: QuorumKind | None
) -> Question[str, bool]:
    """Asks to delete the entries of keys."""
    return Question(
        request=lambda keys: requests.delete_many(keys, namespace, w, quorum),
        results=answers.deleted_many,
        size=_json_bytes_max,
    )


def touching(
    lifetime: Lifetime, namespace: str | None, w: int | None, quorum: QuorumKind | None
) -> Question[str, int | None]:
    """Asks to give the entries of keys another lifetime."""
    return Question(
        request=lambda keys: requests.touch_many(keys, lifetime, namespace, w, quorum),
        results=answers.touched_many,
        size=_json_bytes_max,
    )


def storing(
    namespace: str | None, w: int | None, quorum: QuorumKind | None
) -> Question[Put, Entry]:
    """Asks to store entries."""

    def one(put: Put) -> Request:
        return requests.put(Subject(namespace, put.key, blind=True), put.body, w, quorum)

    return Question(
        request=lambda puts: requests.put_many([put.body for put in puts], w, quorum),
        results=lambda puts, answer: answers.written_many(
            [(put.key, put.text) for put in puts], answer
        ),
        size=lambda put: len(put.body),
        single=Single(one, lambda put, answer: answers.written(put.key, put.text, answer)),
    )


def _key_or_error(key: str) -> str | KvorumError:
    try:
        encode_key(key)
    except InvalidKey as error:
        return error
    return key


def _json_bytes_max(key: str) -> int:
    """The most bytes `key` and a comma can take in JSON, where one character may become \\u0000."""
    return 6 * len(key) + 3

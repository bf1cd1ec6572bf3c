"""If-Match and If-None-Match (RFC 9110, section 13): an entity tag is a quoted valueVersion.

Quotes are easily lost on the way through a shell. So a tag is also taken without them where it can
be a valueVersion, which has nothing but letters, digits, - and _.

On a read they are judged here, by the tag of what was read. On a write the coordinator judges
them, together with the write:

    If-Match: "version"     the entry must be exactly at this version (EXACT)
    If-Match: *             there must be a live version (PRESENT)
    If-None-Match: *        there must be none (ABSENT)

A tag that cannot be any version of this key matches nothing, so it fails like any other tag
that does not match. What a write cannot express (several tags, "any version but this one")
is refused, for a condition that is not understood must not be taken for one that holds.
"""

from __future__ import annotations

import re
from typing import Final

from kvorum.api.http.exchange import Fields
from kvorum.model.errors import InvalidVersion, PreconditionFailed, RequestError
from kvorum.model.request import ABSENT, ANY, EXACT, PRESENT
from kvorum.service.conditions import Condition
from kvorum.service.version_string import VersionStrings

_TAG: Final = re.compile(rb'[ \t]*(?:(W/)?"([!#-~\x80-\xff]*)"|([A-Za-z0-9_-]+))[ \t]*')
_ANY_TAG: Final = b"*"


def write_condition(
    fields: Fields, stated: str | None, subject: bytes, versions: VersionStrings
) -> Condition:
    """Of a write with these header fields and `stated` as its valueVersion."""
    seen = None if stated is None else versions.read(subject, stated)
    if len(fields) < 2:  # no field but Host
        return seen, ANY
    if_match, if_none_match = fields.get(b"if-match"), fields.get(b"if-none-match")
    if if_match is not None and if_none_match is not None:
        raise RequestError("If-Match and If-None-Match are both given: leave one out.")
    if if_none_match is not None:
        if if_none_match != _ANY_TAG:
            raise RequestError("A write takes If-None-Match: * alone, and no entity tag in it.")
        return seen, ABSENT
    if if_match is None:
        return seen, ANY
    if if_match == _ANY_TAG:
        return seen, PRESENT
    return _exact(if_match, stated, subject, versions)


def refuse_conditions(fields: Fields) -> None:
    """For writes that are not of one entry."""
    if b"if-match" in fields or b"if-none-match" in fields:
        raise RequestError(
            "A list takes no If-Match and no If-None-Match: write such entries one by one."
        )


def read_status(fields: Fields, tag: str) -> int:
    """200, 304 or 412 for a read that found the version `tag`."""
    if_match, if_none_match = fields.get(b"if-match"), fields.get(b"if-none-match")
    if if_match not in (None, _ANY_TAG) and (False, tag) not in _tags("If-Match", if_match):
        return 412
    if if_none_match is None:
        return 200
    if if_none_match == _ANY_TAG:
        return 304
    return 304 if any(tag == other for _, other in _tags("If-None-Match", if_none_match)) else 200


def _exact(
    if_match: bytes, stated: str | None, subject: bytes, versions: VersionStrings
) -> Condition:
    tags = _tags("If-Match", if_match)
    if len(tags) != 1:
        raise RequestError(f"If-Match of a write takes one entity tag, not {len(tags)}.")
    [(weak, tag)] = tags
    if stated is not None and stated != tag:
        raise RequestError("If-Match and valueVersion name different versions: leave one out.")
    try:
        if not weak:
            return versions.read(subject, tag), EXACT
    except InvalidVersion as error:
        raise _no_match() from error
    raise _no_match()


def _no_match() -> PreconditionFailed:
    return PreconditionFailed("No version of this key has the entity tag in If-Match.")


def _tags(field: str, value: bytes) -> list[tuple[bool, str]]:
    """(weak, opaque tag) of each entity tag in a list. Raises RequestError."""
    tags = []
    at = 0
    while True:
        found = _TAG.match(value, at)
        if found is None:
            raise _malformed(field, value)
        tag = found[3] if found[2] is None else found[2]
        tags.append((found[1] is not None, tag.decode("latin-1")))
        at = found.end()
        if at == len(value):
            return tags
        if value[at] != ord(","):
            raise _malformed(field, value)
        at += 1


def _malformed(field: str, value: bytes) -> RequestError:
    shown = value[:80].decode("latin-1")
    return RequestError(
        f'{field} has to be * or a list of entity tags like "version", not {shown!r}.'
    )

"""Hash tags: a part of a key in braces, by which alone the key is placed.

    user:{7}:cart       the tag is 7: everything of user 7 has the same owners
    {a}{b}, x{a}}       the tag is a: from the first "{" to the first "}" behind it
    user:{}, {7, 7}     there is no tag: the whole key places it

This is the partition key of Dynamo and Cassandra, written as in a Redis Cluster. A namespace has
the setting `hash_tags`; where it is off, braces mean nothing.

The token of a key with a tag, which decides its partition and its storage key:

    0    4   the first bytes of the hash of the tag
    4   12   the first bytes of the hash of the whole key

So the keys of one tag lie in one partition (which at most 16 bits choose) and in one short range
of storage keys, and each still has a token of its own there: damage, hash trees and pages of a
listing tell them apart. Keys of other tags may come to lie in the range by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.model.prefixes import RECORD, RECORDS_END

TAG_BYTES: Final = 4
"""How many bytes of a token a tag decides."""
_OPEN: Final = b"{"
_CLOSE: Final = b"}"

TokenHash = Callable[[bytes, int], bytes]


def hash_tag(key: bytes) -> bytes | None:
    """The tag of an encoded key, or of a beginning of one; None if it has no whole tag."""
    first = key.find(_OPEN)
    if first < 0:
        return None
    last = key.find(_CLOSE, first + 1)
    return key[first + 1 : last] if last > first + 1 else None


def place_token(token_hash: TokenHash, seed: int, key: bytes) -> bytes:
    """The token of an encoded key in a namespace with hash tags."""
    token = token_hash(key, seed)
    tag = hash_tag(key)
    return token if tag is None else token_hash(tag, seed)[:TAG_BYTES] + token[:-TAG_BYTES]


def tag_range(token_hash: TokenHash, seed: int, tag: bytes) -> tuple[bytes, bytes]:
    """The storage keys [start, end) of all keys with this tag."""
    first = token_hash(tag, seed)[:TAG_BYTES]
    following = int.from_bytes(first) + 1
    ends = following >> (8 * TAG_BYTES)
    end = RECORDS_END if ends else RECORD + following.to_bytes(TAG_BYTES) + bytes(8 - TAG_BYTES)
    return RECORD + first + bytes(8 - TAG_BYTES), end

"""Keys, tokens and storage keys.

key           what the client says: 1 to 1,024 bytes of UTF-8
token         128-bit hash of the key: its place on the ring
partition     the token's top bits
storage key   under which a node's store has the record:

    0    1   b"d" (for the others see `prefixes.py`)
    1    8   the token's first 8 bytes, so one partition is one contiguous range
    9    n   namespace
    9+n  1   0x00
    10+n ..  the key
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Final

import mmh3

from kvorum.model.errors import InvalidKey
from kvorum.model.prefixes import RECORD, RECORDS_END

KEY_BYTES_MAX: Final = 1024
TOKEN_BITS: Final = 128
TOKEN_END: Final = 9
"""Where the token ends in a storage key, and the namespace begins."""

_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def is_namespace_name(name: str) -> bool:
    """True if `name` can be the name of a namespace."""
    return _NAMESPACE.fullmatch(name) is not None


def _md5(data: bytes, seed: int) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


TOKEN_HASHES: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "murmur3": mmh3.mmh3_x64_128_digest,
    "md5": _md5,
}


def encode_key(key: str) -> bytes:
    """`key` as UTF-8. Raises InvalidKey if it is no str, empty, too long or not encodable."""
    try:
        data = key.encode()
    except UnicodeEncodeError as error:
        raise InvalidKey(
            f"The key is no UTF-8 text: its character {error.start + 1} is a byte that is no "
            "UTF-8, or half of a surrogate pair."
        ) from error
    except AttributeError as error:
        got = type(key).__name__
        raise InvalidKey(f"A key is a str, not {got}.", wanted="str", got=got) from error
    if not 0 < len(data) <= KEY_BYTES_MAX:
        raise InvalidKey(
            f"A key has 1 to {KEY_BYTES_MAX} bytes of UTF-8, and this one has {len(data)}.",
            wanted=f"1..{KEY_BYTES_MAX} bytes",
            got=len(data),
        )
    return data


def storage_key(token: bytes, namespace: str, key: bytes) -> bytes:
    """The storage key of a client's key, encoded, in `namespace`."""
    return RECORD + token[:8] + namespace.encode() + b"\0" + key


def is_range_start(data: bytes) -> bool:
    """True if a range of records can start at the storage key `data`."""
    return data[:1] == RECORD and len(data) >= 9


def is_record_key(data: bytes) -> bool:
    """True if `data` can be the storage key of a record."""
    return data[:1] == RECORD and data.find(0, 9) > 9


def split_storage_key(data: bytes) -> tuple[str, str]:
    """(namespace, key) of a storage key."""
    namespace, _, key = data[9:].partition(b"\0")
    return namespace.decode(), key.decode()


def namespace_of(key: bytes) -> bytes:
    """The name of the namespace of a record's storage key."""
    return key[9 : key.index(0, 9)]


def partition_of(token: bytes, partition_bits: int) -> int:
    """The partition of a token, or of its first 8 bytes."""
    return int.from_bytes(token[:8], "big") >> (64 - partition_bits) if partition_bits else 0


def token_range(token: bytes) -> tuple[bytes, bytes]:
    """The storage keys [start, end) of a token, of which a storage key has the first 8 bytes."""
    return partition_range(int.from_bytes(token[:8]), 64)


def partition_range(partition: int, partition_bits: int) -> tuple[bytes, bytes]:
    """The storage keys [start, end) of a partition."""
    shift = 64 - partition_bits
    start = RECORD + (partition << shift).to_bytes(8, "big")
    following = (partition + 1) << shift
    end = RECORDS_END if following >> 64 else RECORD + following.to_bytes(8, "big")
    return start, end

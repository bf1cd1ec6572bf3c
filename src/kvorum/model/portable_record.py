"""A record on its way between clusters: bound to its key, but to no cluster's tokens.

An encoded record (`record.py`) is bound to its storage key, which begins with a token of this
cluster's hash and seed. A portable one has the same body and the same check, over the bare key:

    0   8   XXH3-64 (big-endian) over the key's UTF-8 and the body
    8   1.. body

so a record that was damaged, or put beside another key, is refused, and the namespace may differ.
"""

from __future__ import annotations

from kvorum.model.errors import CorruptRecord, InvalidValue
from kvorum.model.keys import encode_key
from kvorum.model.record import Record, decode, encode, is_well_formed


def to_portable(key: str, record: Record) -> bytes:
    """`record` as a portable one of `key`. Raises InvalidKey."""
    return encode(encode_key(key), record)


def from_portable(key: str, data: bytes) -> Record:
    """The record in `data`. Raises InvalidKey, or InvalidValue if it is none of `key`."""
    storage_key = encode_key(key)
    try:
        record = decode(storage_key, data)
    except CorruptRecord as error:
        raise InvalidValue(
            f"The record of key {key[:80]!r} is damaged, or belongs to another key. Send records "
            "as they were exported."
        ) from error
    if not is_well_formed(record):
        raise InvalidValue(
            f"The record of key {key[:80]!r} has versions that its context does not list; no "
            "kvorum has made it. Send records as they were exported."
        )
    return record

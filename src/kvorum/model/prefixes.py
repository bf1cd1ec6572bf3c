"""The first bytes of storage keys: what begins with which, and whose it is.

A node has one ordered map of bytes to bytes for all that it stores. Its rooms share it by the first
byte of their keys, and each byte has one owner, listed here. Those marked "below" are the store's
own notes, below the journal and the seal; all others pass both.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

RECORD: Final = b"d"
"""Clients' records: token, namespace, key."""
HINT: Final = b"h"
"""That a node is owed a record: node, the record's key."""
MARK: Final = b"m"
"""That a node missed more than hints tell: node."""
RECOVERY: Final = b"r"
"""Whether this disk speaks for all that its node has acknowledged."""
BARRIER: Final = b"b"
"""Nothing: deleting it is durable only after all that was written before."""
UNVERIFIED: Final = b"u"
"""Tokens of which this replica may lack what it had."""
RENEWED: Final = b"v"
"""Keys of such tokens that were written anew."""
FORMAT: Final = b"f"
"""The format of what is stored (below)."""
QUARANTINE: Final = b"q"
"""Stored pairs that do not open (below)."""
SCRUB: Final = b"s"
"""Where the scrubber is (below)."""
SHRED_HORIZON: Final = b"x"
"""When a namespace was shredded (below)."""

OWNERS: Final[Mapping[bytes, str]] = MappingProxyType(
    {
        RECORD: "model/keys.py",
        HINT: "handoff/hint_notes.py",
        MARK: "handoff/hint_notes.py",
        RECOVERY: "storage/recovery_note.py",
        BARRIER: "repair/collection.py",
        UNVERIFIED: "replica/unverified_tokens.py",
        RENEWED: "replica/unverified_tokens.py",
        FORMAT: "sealing/vault.py",
        QUARANTINE: "sealing/quarantine.py",
        SCRUB: "sealing/scrub.py",
        SHRED_HORIZON: "sealing/shred_horizon.py",
    }
)
"""The module that says what the keys with each prefix are made of."""


def end_of(prefix: bytes) -> bytes:
    """Where the keys with this prefix, of one byte, end: the first key that may come after them."""
    return bytes([prefix[0] + 1])


RECORDS_END: Final = end_of(RECORD)
HINTS_END: Final = end_of(HINT)

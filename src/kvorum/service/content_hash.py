"""The hash of a value, that clients compare: XXH3-128 over namespace, NUL, key, NUL and the bytes.

It tells equal values apart from different ones without comparing them, and is no proof against an
attacker.
"""

from __future__ import annotations

import xxhash


def content_hash(subject: bytes, value: bytes) -> str:
    """In hexadecimal. `subject` is of namespace and key, see `version_string.py`."""
    return xxhash.xxh3_128_hexdigest(subject + value)

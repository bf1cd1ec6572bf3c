"""The messages by which nodes keep the same security catalog (`model/security_catalog.py`)."""

from __future__ import annotations

import msgspec

from kvorum.model.security_catalog import SecurityEntry


class SecurityDigest(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=47):
    """The digest of the sender's security catalog: send all entries if yours differs."""

    digest: bytes


class SecurityEntries(msgspec.Struct, array_like=True, frozen=True, tag=48):
    """Merge these entries of the security catalog, durably. `op`: 0 for all that the sender has,
    which is answered with all that the receiver has if that is more.
    """

    op: int
    entries: list[SecurityEntry]


class SecurityStored(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=49):
    """The entries are durable here, and in force."""

    op: int

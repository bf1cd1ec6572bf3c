"""The messages by which nodes share the security catalog: tokens, users, roles and revoked
certificates. They are among those of `messages.py`.
"""

from __future__ import annotations

import msgspec

from kvorum.model.security_catalog import SecurityEntry


class SecurityDigest(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=47):
    """The sender's security catalog has this digest: send what you have if yours has another."""

    digest: bytes


class SecurityEntries(msgspec.Struct, array_like=True, frozen=True, tag=48):
    """Merge `entries` into your security catalog, and tell when they are durable if `op` is not
    0.
    """

    op: int
    entries: list[SecurityEntry]


class SecurityKept(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=49):
    """The entries of a `SecurityEntries` are durable here."""

    op: int

"""What the security catalog holds: tokens, users and revoked certificates. Roles are in
`permissions.py`.

No `repr` shows what others could use: neither digests of tokens nor passwords.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kvorum.model.permissions import Grant, Role


class PrincipalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one principal may ask of each node: requests and bytes (in and out) a second, and
    connections at once. 0: no limit.
    """

    requests_per_s: Annotated[int, Meta(ge=0)] = 0
    bytes_per_s: Annotated[int, Meta(ge=0)] = 0
    connections: Annotated[int, Meta(ge=0)] = 0


UNLIMITED: Final = PrincipalLimits()


class Password(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a password: scrypt's parameters (RFC 7914), salt and result, both in hex."""

    n: int
    r: int
    p: int
    salt: str
    derived: str

    def __repr__(self) -> str:
        return "Password(...)"


class Token(msgspec.Struct, frozen=True, kw_only=True, tag="token"):
    """A token. `digest`: SHA-256 of its text in hex. `expires_ms`: since 1970; 0 for never."""

    id: str
    name: str
    digest: str
    grants: tuple[Grant, ...]
    created_ms: int
    expires_ms: int = 0
    limits: PrincipalLimits = UNLIMITED

    def __repr__(self) -> str:
        return f"Token(id={self.id!r}, name={self.name!r}, grants={self.grants!r})"


class User(msgspec.Struct, frozen=True, kw_only=True, tag="user"):
    """A user, who shows a password or a client certificate of that name. `password`: None for one
    who has none.
    """

    name: str
    grants: tuple[Grant, ...]
    password: Password | None = None
    limits: PrincipalLimits = UNLIMITED


class Revocation(msgspec.Struct, frozen=True, kw_only=True, tag="revocation"):
    """A certificate that is not accepted any more. `serial`: in hex. `name`: whose it is, as
    people are shown it. `until_ms`: when it expires by itself.
    """

    serial: str
    name: str
    revoked_ms: int
    until_ms: int = 0


Value = Token | User | Role | Revocation
"""What an entry of the catalog holds."""

"""The documents about who may do what: tokens, users, roles, revoked certificates, oneself.

None tells what a secret could be tried against: no digest of a token, nothing of a password. The
text of a token is told once, to whoever makes it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kvorum.model.permissions import ROLES, Grant, Role
from kvorum.model.security_values import UNLIMITED, PrincipalLimits, Revocation, Token, User


class ShownGrant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A role given to somebody, and what it is narrowed to."""

    role: str
    namespace: str | None = None
    prefix: str = ""


class ShownToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token, without its text. `expires_ms`: None for never."""

    id: str
    name: str
    grants: list[ShownGrant]
    created_ms: int
    expires_ms: int | None = None
    limits: PrincipalLimits | None = None


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of the cluster: the document of GET /tokens."""

    tokens: list[ShownToken]


class ShownUser(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A user. `has_password`: False for one who shows a certificate."""

    name: str
    grants: list[ShownGrant]
    has_password: bool
    limits: PrincipalLimits | None = None


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """The users of the cluster: the document of GET /users."""

    users: list[ShownUser]


class ShownRole(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A role. `built_in`: every cluster has it, and nobody can change it."""

    name: str
    permissions: list[str]
    built_in: bool
    namespace: str | None = None
    prefix: str = ""


class RoleList(msgspec.Struct, frozen=True, kw_only=True):
    """The roles of the cluster: the document of GET /roles."""

    roles: list[ShownRole]


class ShownRevocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate that is not accepted any more. `until_ms`: when it expires by itself; None if
    nobody has said it.
    """

    serial: str
    name: str
    revoked_ms: int
    until_ms: int | None = None


class RevocationList(msgspec.Struct, frozen=True, kw_only=True):
    """The revoked certificates of the cluster: the document of GET /revocations."""

    revocations: list[ShownRevocation]


class Whoami(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asks, as the node sees it. `secure`: False where nodes ask nobody who he is, and
    everybody may do everything.
    """

    name: str
    kind: str
    secure: bool
    grants: list[ShownGrant]
    expires_ms: int | None = None


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Where a change is in effect: `known_by` these nodes; `not_yet` known by those, which are
    told when they can be reached.
    """

    known_by: list[str]
    not_yet: list[str]


class ChangedUser(Reach, frozen=True, kw_only=True):
    """A user as it is now."""

    user: ShownUser


class ChangedRole(Reach, frozen=True, kw_only=True):
    """A role as it is now."""

    role: ShownRole


class RevokedCertificate(Reach, frozen=True, kw_only=True):
    """A certificate that is not accepted from now on."""

    revocation: ShownRevocation


class MadeToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token that was made, with its text, which nobody can be told again."""

    token: str
    id: str
    name: str
    grants: list[ShownGrant]
    created_ms: int
    known_by: list[str]
    not_yet: list[str]
    expires_ms: int | None = None
    limits: PrincipalLimits | None = None

    def __repr__(self) -> str:
        return f"MadeToken(id={self.id!r}, name={self.name!r})"


def shown_token(token: Token) -> ShownToken:
    """What is told of `token`."""
    return ShownToken(
        id=token.id,
        name=token.name,
        grants=shown_grants(token.grants),
        created_ms=token.created_ms,
        expires_ms=token.expires_ms or None,
        limits=_shown_limits(token.limits),
    )


def shown_user(user: User) -> ShownUser:
    """What is told of `user`."""
    return ShownUser(
        name=user.name,
        grants=shown_grants(user.grants),
        has_password=user.password is not None,
        limits=_shown_limits(user.limits),
    )


def shown_role(role: Role) -> ShownRole:
    """What is told of `role`."""
    return ShownRole(
        name=role.name,
        permissions=[str(one) for one in role.permissions],
        built_in=role.name in ROLES,
        namespace=role.namespace,
        prefix=role.prefix,
    )


def shown_revocation(revocation: Revocation) -> ShownRevocation:
    """What is told of `revocation`."""
    return ShownRevocation(
        serial=revocation.serial,
        name=revocation.name,
        revoked_ms=revocation.revoked_ms,
        until_ms=revocation.until_ms or None,
    )


def shown_grants(grants: Iterable[Grant]) -> list[ShownGrant]:
    """What is told of `grants`."""
    return [
        ShownGrant(role=grant.role, namespace=grant.namespace, prefix=grant.prefix)
        for grant in grants
    ]


def _shown_limits(limits: PrincipalLimits) -> PrincipalLimits | None:
    return None if limits == UNLIMITED else limits

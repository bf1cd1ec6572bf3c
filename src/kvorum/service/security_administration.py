"""The administration of who may do what: tokens, users, roles, revoked certificates.

Any node may be asked; it tells the others, and its answer says which know of the change. Every call
names the principal and raises AccessDenied before it does anything, and OpenCluster where nodes ask
nobody who he is. What a change is refused for, its `reply` is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from kvorum.documents.security import (
    ChangedRole,
    ChangedUser,
    MadeToken,
    Reach,
    RevocationList,
    RevokedCertificate,
    RoleList,
    TokenList,
    UserList,
    Whoami,
    shown_grants,
    shown_revocation,
    shown_role,
    shown_token,
    shown_user,
)
from kvorum.model.errors import KvorumError, RequestError
from kvorum.model.permissions import ROLES, Role
from kvorum.model.security_catalog import EntryId, SecurityCatalog
from kvorum.model.security_values import (
    Password,
    Revocation,
    Token,
    User,
    Value,
)
from kvorum.service.action import Action
from kvorum.service.audit import AuditedAction
from kvorum.service.principal import Principal
from kvorum.service.security_changes import SecurityChanges, Spread
from kvorum.service.security_wishes import (
    TokenWish,
    UserWish,
    check_certificate,
    check_exists,
    checked_password,
)
from kvorum.service.service import Service
from kvorum.service.tokens import NewToken, new_token

_T = TypeVar("_T")

Reply = Callable[[_T | KvorumError], object]


class OpenCluster(RequestError):
    """The cluster authenticates nobody, so it has no tokens, users or roles."""

    code = "open_cluster"


class Passwords(Protocol):
    """Makes what is kept of passwords, which takes its time."""

    def keep(self, password: bytes, reply: Callable[[Password | KvorumError], object], /) -> None:
        """Raises Overloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityParts:
    """What there is to administer. `holder`: the token or user that a principal is, if any."""

    changes: SecurityChanges
    passwords: Passwords
    holder: Callable[[Principal], Token | User | None]


class SecurityAdministration:
    """Administers the security catalog for principals. What is returned are documents."""

    def __init__(self, service: Service, parts: SecurityParts | None) -> None:
        """Under the policy of `service`. `parts`: None where nodes ask nobody who he is."""
        self._enter = service.access.enter
        self._parts = parts

    def whoami(self, principal: Principal) -> Whoami:
        """Who asks, and what is granted to him."""
        with self._enter(principal, Action.SEE_SELF):
            held = None if self._parts is None else self._parts.holder(principal)
        expires_ms = held.expires_ms if isinstance(held, Token) else 0
        return Whoami(
            name=principal.name,
            kind=_kind(principal),
            secure=self._parts is not None,
            grants=[] if held is None else shown_grants(held.grants),
            expires_ms=expires_ms or None,
        )

    # Tokens

    def tokens(self, principal: Principal) -> TokenList:
        """All tokens, also those that have expired, by age."""
        found = self._seeing(principal).values("token")
        tokens = [shown_token(one) for one in found if isinstance(one, Token)]
        return TokenList(tokens=sorted(tokens, key=lambda one: (one.created_ms, one.id)))

    def create_token(self, principal: Principal, wish: TokenWish, reply: Reply[MadeToken]) -> None:
        """Make a token. Raises RequestError for a lifetime that none can have."""
        with self._changing(principal, wish.subject) as told:
            reply = told.later(reply)
            changes = self._secure().changes
            wish.check()
            made: list[tuple[NewToken, Token]] = []

            def value(catalog: SecurityCatalog, now_ms: int) -> Token:
                new = new_token()
                while EntryId("token", new.id) in catalog.entries:
                    new = new_token()
                token = wish.token(new, now_ms)
                made.append((new, token))
                return token

            def tell(spread: Spread) -> MadeToken:
                [(new, token)] = made
                return MadeToken(
                    token=new.text,
                    known_by=list(spread.known_by),
                    not_yet=list(spread.not_yet),
                    **msgspec.structs.asdict(shown_token(token)),
                )

            changes.put(value, _telling(tell, reply))

    def revoke_token(self, principal: Principal, token_id: str, reply: Reply[Reach]) -> None:
        """Nobody gets in with it any more."""
        with self._changing(principal, f"revoke token {token_id}") as told:
            reply = told.later(reply)
            changes = self._secure().changes
            changes.remove("token", token_id, _telling(_reach, reply))

    # Users

    def users(self, principal: Principal) -> UserList:
        """All users, by name."""
        found = self._seeing(principal).values("user")
        return UserList(users=[shown_user(one) for one in found if isinstance(one, User)])

    def set_user(
        self, principal: Principal, wish: UserWish, reply: Reply[tuple[bool, ChangedUser]]
    ) -> None:
        """Make or alter a user: whether he was made, and as he is then.

        Raises RequestError for a password that is too short or too long. It is changed at the end,
        so a wish that is refused has changed nothing.
        """
        with self._changing(principal, wish.subject) as told:
            reply = told.later(reply)
            parts = self._secure()
            # What can be refused before the work of the password begins.
            wish.user(parts.changes.catalog, None)
            if not isinstance(wish.password, str):
                self._put_user(parts.changes, wish, None, reply)
                return
            password = checked_password(wish.password)

            def kept(result: Password | KvorumError) -> None:
                if isinstance(result, KvorumError):
                    reply(result)
                    return
                try:
                    self._put_user(parts.changes, wish, result, reply)
                except KvorumError as error:
                    reply(error)

            parts.passwords.keep(password, kept)

    def _put_user(
        self,
        changes: SecurityChanges,
        wish: UserWish,
        password: Password | None,
        reply: Reply[tuple[bool, ChangedUser]],
    ) -> None:
        put: list[tuple[bool, User]] = []

        def value(catalog: SecurityCatalog, _now_ms: int) -> User:
            user = wish.user(catalog, password)
            put.append((catalog.user(wish.name) is None, user))
            return user

        def tell(spread: Spread) -> tuple[bool, ChangedUser]:
            [(made, user)] = put
            return made, ChangedUser(
                user=shown_user(user),
                known_by=list(spread.known_by),
                not_yet=list(spread.not_yet),
            )

        changes.put(value, _telling(tell, reply))

    def remove_user(self, principal: Principal, name: str, reply: Reply[Reach]) -> None:
        """Nobody gets in by that name any more, neither by password nor by certificate."""
        with self._changing(principal, f"remove user {name}") as told:
            reply = told.later(reply)
            changes = self._secure().changes
            changes.remove("user", name, _telling(_reach, reply))

    # Roles

    def roles(self, principal: Principal) -> RoleList:
        """All roles: those that every cluster has, then the others by name."""
        found = self._seeing(principal).values("role")
        roles = [*ROLES.values(), *(one for one in found if isinstance(one, Role))]
        return RoleList(roles=[shown_role(role) for role in roles])

    def set_role(
        self,
        principal: Principal,
        role: Role,
        exists: bool | None,
        reply: Reply[tuple[bool, ChangedRole]],
    ) -> None:
        """Make a role or replace it, for all who have it: whether it was made, and as it is then.
        `exists` as in `UserWish`.
        """
        with self._changing(
            principal, f"set role {role.name}: {', '.join(role.permissions)}"
        ) as told:
            reply = told.later(reply)
            changes = self._secure().changes
            made: list[bool] = []

            def value(catalog: SecurityCatalog, _now_ms: int) -> Value:
                old = catalog.role(role.name)
                # That a role is built in says more than that it is there.
                if role.name not in ROLES:
                    check_exists("role", role.name, old is not None, exists)
                made.append(old is None)
                return role

            def tell(spread: Spread) -> tuple[bool, ChangedRole]:
                return made[0], ChangedRole(
                    role=shown_role(role),
                    known_by=list(spread.known_by),
                    not_yet=list(spread.not_yet),
                )

            changes.put(value, _telling(tell, reply))

    def remove_role(self, principal: Principal, name: str, reply: Reply[Reach]) -> None:
        """Nobody may have it."""
        with self._changing(principal, f"remove role {name}") as told:
            reply = told.later(reply)
            changes = self._secure().changes
            if name in ROLES:
                raise RequestError(
                    f"The role {name!r} is built in and cannot be removed. Take it from those who "
                    "should not have it."
                )
            changes.remove("role", name, _telling(_reach, reply))

    # Certificates

    def revocations(self, principal: Principal) -> RevocationList:
        """All certificates that are not accepted any more, by when they were revoked."""
        found = self._seeing(principal).values("revocation")
        shown = [shown_revocation(one) for one in found if isinstance(one, Revocation)]
        return RevocationList(
            revocations=sorted(shown, key=lambda one: (one.revoked_ms, one.serial))
        )

    def revoke_certificate(
        self,
        principal: Principal,
        serial: str,
        name: str,
        until_ms: int,
        reply: Reply[RevokedCertificate],
    ) -> None:
        """The certificate with that number is not accepted any more, and cannot be again. `name`:
        whose it is. `until_ms`: when it expires by itself; 0 if that is not known.
        """
        with self._changing(principal, f"revoke certificate {serial} of {name}") as told:
            reply = told.later(reply)
            changes = self._secure().changes
            check_certificate(serial, name)
            revoked: list[Revocation] = []

            def value(catalog: SecurityCatalog, now_ms: int) -> Value:
                old = catalog.entries.get(EntryId("revocation", serial))
                if old is not None and isinstance(old.value, Revocation):
                    revoked.append(old.value)
                else:
                    revoked.append(
                        Revocation(serial=serial, name=name, revoked_ms=now_ms, until_ms=until_ms)
                    )
                return revoked[0]

            def tell(spread: Spread) -> RevokedCertificate:
                return RevokedCertificate(
                    revocation=shown_revocation(revoked[0]),
                    known_by=list(spread.known_by),
                    not_yet=list(spread.not_yet),
                )

            changes.put(value, _telling(tell, reply))

    def _seeing(self, principal: Principal) -> SecurityCatalog:
        with self._enter(principal, Action.SEE_SECURITY):
            return self._secure().changes.catalog

    def _changing(self, principal: Principal, subject: str) -> AuditedAction:
        return self._enter(principal, Action.CHANGE_SECURITY, subject=subject)

    def _secure(self) -> SecurityParts:
        if self._parts is None:
            raise OpenCluster(
                "This cluster authenticates nobody, so it has no tokens, users, roles and revoked "
                "certificates. Start its nodes with 'kvorum serve --certs', or make a secure one "
                "with 'kvorum up --secure'."
            )
        return self._parts


def _telling(
    tell: Callable[[Spread], _T], reply: Reply[_T]
) -> Callable[[Spread | KvorumError], object]:
    """Replies with the error, or with what `tell` makes of a change."""

    def told(result: Spread | KvorumError) -> None:
        reply(result if isinstance(result, KvorumError) else tell(result))

    return told


def _reach(spread: Spread) -> Reach:
    return Reach(known_by=list(spread.known_by), not_yet=list(spread.not_yet))


def _kind(principal: Principal) -> str:
    return str(getattr(principal, "kind", principal.name))

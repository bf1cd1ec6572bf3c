"""Who may do what in a cluster, as the asynchronous client says and asks it.

One node is asked; it tells the others. What a change returns has `known_by`, the names of the nodes
that have it, and `not_yet`, those that get it when they can be reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kvorum.client import security_requests
from kvorum.client.lifetime import Ttl
from kvorum.client.requests import Request
from kvorum.client.security_requests import Grants, Limits, grants_of
from kvorum.documents.reading import read
from kvorum.documents.security import (
    ChangedRole,
    ChangedUser,
    MadeToken,
    Reach,
    RevocationList,
    RevokedCertificate,
    RoleList,
    ShownRevocation,
    ShownRole,
    ShownToken,
    ShownUser,
    TokenList,
    UserList,
    Whoami,
)


class SecurityCalls:
    """The methods about tokens, users, roles and revoked certificates."""

    async def ask(self, request: Request, *, timeout: float | None = None) -> dict[str, Any]:
        """The document that answers a request."""
        raise NotImplementedError

    async def whoami(self, *, timeout: float | None = None) -> Whoami:
        """Who the server takes this client for, and what is granted to it."""
        return read(await self.ask(security_requests.whoami(), timeout=timeout), Whoami)

    async def tokens(self, *, timeout: float | None = None) -> list[ShownToken]:
        """All tokens of the cluster, without their texts."""
        document = await self.ask(security_requests.tokens(), timeout=timeout)
        return read(document, TokenList).tokens

    async def create_token(
        self,
        name: str,
        roles: str | Iterable[str] = (),
        *,
        namespace: str | None = None,
        prefix: str = "",
        grants: Grants = (),
        expires: Ttl | None = None,
        limits: Limits | None = None,
        timeout: float | None = None,
    ) -> MadeToken:
        """Make a token; its text is the result's `token`, which nobody can be told again.

        It has `roles`, in `namespace` only if one is given, for keys that begin with `prefix`; and
        `grants`, each a dict of role, namespace and prefix. It expires in `expires` (seconds or a
        timedelta), or never. `limits`, on each node: requests_per_s, bytes_per_s, connections.
        """
        request = security_requests.create_token(
            name, grants_of(roles, namespace, prefix, grants), expires, limits
        )
        return read(await self.ask(request, timeout=timeout), MadeToken)

    async def revoke_token(self, token_id: str, *, timeout: float | None = None) -> Reach:
        """Have a token not accepted any more. Raises NotFound."""
        request = security_requests.revoke_token(token_id)
        return read(await self.ask(request, timeout=timeout), Reach)

    async def users(self, *, timeout: float | None = None) -> list[ShownUser]:
        """All users of the cluster."""
        document = await self.ask(security_requests.users(), timeout=timeout)
        return read(document, UserList).users

    async def set_user(
        self,
        name: str,
        roles: str | Iterable[str] | None = None,
        *,
        namespace: str | None = None,
        prefix: str = "",
        grants: Grants | None = None,
        password: str | None = None,
        limits: Limits | None = None,
        exists: bool | None = None,
        timeout: float | None = None,
    ) -> ChangedUser:
        """Make a user, or alter one; what is left out stays as it is.

        `roles` and `grants` are in place of all that was granted before, and mean what they mean in
        `create_token`. A `password` of "" takes it away, from a user who shows a certificate. With
        `exists`, it raises NotFound if there is no such user (True), or PreconditionFailed if there
        is one (False).
        """
        granted = None
        if roles is not None or grants is not None:
            granted = grants_of(roles or (), namespace, prefix, grants or ())
        request = security_requests.set_user(name, granted, password, limits, exists)
        return read(await self.ask(request, timeout=timeout), ChangedUser)

    async def remove_user(self, name: str, *, timeout: float | None = None) -> Reach:
        """End a user. Raises NotFound."""
        request = security_requests.remove_user(name)
        return read(await self.ask(request, timeout=timeout), Reach)

    async def roles(self, *, timeout: float | None = None) -> list[ShownRole]:
        """All roles, also those that every cluster has."""
        document = await self.ask(security_requests.roles(), timeout=timeout)
        return read(document, RoleList).roles

    async def set_role(
        self,
        name: str,
        permissions: str | Iterable[str],
        *,
        namespace: str | None = None,
        prefix: str = "",
        exists: bool | None = None,
        timeout: float | None = None,
    ) -> ChangedRole:
        """Make a role, or replace it for all who have it. `exists` as in `set_user`."""
        request = security_requests.set_role(name, permissions, namespace, prefix, exists)
        return read(await self.ask(request, timeout=timeout), ChangedRole)

    async def remove_role(self, name: str, *, timeout: float | None = None) -> Reach:
        """End a role that nobody has. Raises NotFound."""
        request = security_requests.remove_role(name)
        return read(await self.ask(request, timeout=timeout), Reach)

    async def revocations(self, *, timeout: float | None = None) -> list[ShownRevocation]:
        """The certificates that are not accepted any more."""
        document = await self.ask(security_requests.revocations(), timeout=timeout)
        return read(document, RevocationList).revocations

    async def revoke_certificate(
        self,
        serial: str,
        name: str,
        until_ms: int | None = None,
        *,
        timeout: float | None = None,
    ) -> RevokedCertificate:
        """Have the certificate with the number `serial` (in hex) not accepted any more. `name`:
        whose it is. `until_ms`: when it expires by itself (ms since 1970).
        """
        request = security_requests.revoke_certificate(serial, name, until_ms)
        return read(await self.ask(request, timeout=timeout), RevokedCertificate)

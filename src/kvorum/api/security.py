"""Who may do what in this cluster:

    GET    /whoami              who asks, and what is granted to him
    GET    /tokens              all tokens, without their texts
    POST   /tokens              {"name", "grants": [{"role", "namespace"?, "prefix"?}],
                                 "expires_s"?, "limits"?}   makes one, and tells its text
    DELETE /tokens/{id}
    GET    /users
    PUT    /users/{name}        {"grants"?, "password"?, "limits"?, "exists"?}   makes or alters one
    DELETE /users/{name}
    GET    /roles               also the built-in ones
    PUT    /roles/{name}        {"permissions", "namespace"?, "prefix"?, "exists"?}
    DELETE /roles/{name}
    GET    /revocations         certificates that are not accepted any more
    POST   /revocations         {"serial", "name", "until_ms"?}

One node is asked; it tells the others. An answer to a change comes when those that are linked have
it, or after a second: `known_by` and `not_yet` are the names of nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from kvorum.api.entry_body import decode_object
from kvorum.api.http.exchange import Exchange
from kvorum.api.node_answers import answer, refuse_parameters
from kvorum.api.parameters import name_of
from kvorum.model.errors import KvorumError, NotFound, PreconditionFailed, RequestError
from kvorum.model.permissions import PERMISSIONS_MAX, Grant, Permission, Role
from kvorum.model.security_catalog import GRANTS_MAX
from kvorum.model.security_values import UNLIMITED, PrincipalLimits
from kvorum.service.security_administration import SecurityAdministration
from kvorum.service.security_wishes import TokenWish, UserWish

TOKEN_PATH: Final = b"/tokens/"
USER_PATH: Final = b"/users/"
ROLE_PATH: Final = b"/roles/"
SECURITY_BODY_BYTES: Final = 128 << 10
"""Room for as many grants as there may be, with the longest prefixes, in JSON."""

_CREATED: Final = 201
_NO_SUCH: Final = "GET /tokens, /users and /roles list those that there are."
_TAKEN: Final = 'Choose another name, or leave out "exists" to alter the one that there is.'

_T = TypeVar("_T")
_Amount = Annotated[int, Meta(ge=0, le=1 << 50)]


class GrantBody(msgspec.Struct, forbid_unknown_fields=True):
    """A role that is given, and what it is narrowed to."""

    role: str
    namespace: str | None = None
    prefix: str = ""


class LimitsBody(msgspec.Struct, forbid_unknown_fields=True):
    """How much may be asked of each node; 0 is any amount."""

    requests_per_s: _Amount = 0
    bytes_per_s: _Amount = 0
    connections: _Amount = 0


class TokenBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /tokens."""

    name: str
    grants: Annotated[list[GrantBody], Meta(max_length=GRANTS_MAX)]
    expires_s: int | None = None
    limits: LimitsBody | None = None


class UserBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PUT /users/{name}."""

    grants: Annotated[list[GrantBody], Meta(max_length=GRANTS_MAX)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    password: str | msgspec.UnsetType | None = msgspec.UNSET
    limits: LimitsBody | msgspec.UnsetType | None = msgspec.UNSET
    exists: bool | None = None

    def __repr__(self) -> str:
        return "UserBody(...)"


class RoleBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PUT /roles/{name}."""

    permissions: Annotated[list[str], Meta(max_length=PERMISSIONS_MAX)]
    namespace: str | None = None
    prefix: str = ""
    exists: bool | None = None


class RevocationBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /revocations."""

    serial: str
    name: str
    until_ms: Annotated[int, Meta(ge=0, le=1 << 50)] = 0


_token_body: Final = msgspec.json.Decoder(TokenBody)
_user_body: Final = msgspec.json.Decoder(UserBody)
_role_body: Final = msgspec.json.Decoder(RoleBody)
_revocation_body: Final = msgspec.json.Decoder(RevocationBody)


class SecurityHandlers:
    """The handlers of tokens, users, roles and revoked certificates."""

    def __init__(self, security: SecurityAdministration) -> None:
        self._security = security

    def create_token(self, exchange: Exchange) -> None:
        """POST /tokens"""
        refuse_parameters(exchange)
        body = decode_object(_token_body, exchange.body)
        wish = TokenWish(
            name=body.name,
            grants=_grants(body.grants),
            expires_s=body.expires_s,
            limits=_limits(body.limits),
        )
        self._security.create_token(exchange.principal, wish, _answering(exchange, _CREATED))

    def revoke_token(self, exchange: Exchange) -> None:
        """DELETE /tokens/{id}"""
        token_id = _name(exchange, TOKEN_PATH)
        self._security.revoke_token(exchange.principal, token_id, _answering(exchange))

    def set_user(self, exchange: Exchange) -> None:
        """PUT /users/{name}"""
        name = _name(exchange, USER_PATH)
        body = decode_object(_user_body, exchange.body or b"{}")
        wish = UserWish(
            name=name,
            grants=body.grants if body.grants is msgspec.UNSET else _grants(body.grants),
            password=body.password,
            limits=body.limits if body.limits is msgspec.UNSET else _limits(body.limits),
            exists=body.exists,
        )
        self._security.set_user(exchange.principal, wish, _answering_made(exchange))

    def remove_user(self, exchange: Exchange) -> None:
        """DELETE /users/{name}"""
        name = _name(exchange, USER_PATH)
        self._security.remove_user(exchange.principal, name, _answering(exchange))

    def set_role(self, exchange: Exchange) -> None:
        """PUT /roles/{name}"""
        name = _name(exchange, ROLE_PATH)
        body = decode_object(_role_body, exchange.body)
        role = Role(
            name=name,
            permissions=_permissions(body.permissions),
            namespace=body.namespace,
            prefix=body.prefix,
        )
        self._security.set_role(exchange.principal, role, body.exists, _answering_made(exchange))

    def remove_role(self, exchange: Exchange) -> None:
        """DELETE /roles/{name}"""
        name = _name(exchange, ROLE_PATH)
        self._security.remove_role(exchange.principal, name, _answering(exchange))

    def revoke_certificate(self, exchange: Exchange) -> None:
        """POST /revocations"""
        refuse_parameters(exchange)
        body = decode_object(_revocation_body, exchange.body)
        self._security.revoke_certificate(
            exchange.principal,
            body.serial,
            body.name,
            body.until_ms,
            _answering(exchange, _CREATED),
        )


def _answering(exchange: Exchange, status: int = 200) -> Callable[[object], None]:
    def reply(result: object) -> None:
        if isinstance(result, KvorumError):
            exchange.refuse(_advised(result))
        else:
            answer(exchange, result, status)

    return reply


def _answering_made(
    exchange: Exchange,
) -> Callable[[tuple[bool, object] | KvorumError], None]:
    def reply(result: tuple[bool, object] | KvorumError) -> None:
        if isinstance(result, KvorumError):
            exchange.refuse(_advised(result))
        else:
            made, document = result
            answer(exchange, document, _CREATED if made else 200)

    return reply


def _advised(error: KvorumError) -> KvorumError:
    """What codes advise that are about entries elsewhere."""
    match error:
        case NotFound():
            error.details["advice"] = _NO_SUCH
        case PreconditionFailed():
            error.details["advice"] = _TAKEN
    return error


def _name(exchange: Exchange, path: bytes) -> str:
    refuse_parameters(exchange)
    return name_of(exchange.path[len(path) :])


def _grants(bodies: list[GrantBody]) -> tuple[Grant, ...]:
    grants = (Grant(role=one.role, namespace=one.namespace, prefix=one.prefix) for one in bodies)
    return tuple(dict.fromkeys(grants))


def _permissions(names: list[str]) -> tuple[Permission, ...]:
    try:
        return tuple(dict.fromkeys(map(Permission, names)))
    except ValueError:
        unknown = next(name for name in names if name not in set(Permission))
        raise RequestError(
            f"There is no permission {unknown[:80]!r}. The permissions are {', '.join(Permission)}."
        ) from None


def _limits(body: LimitsBody | None) -> PrincipalLimits:
    if body is None:
        return UNLIMITED
    return PrincipalLimits(
        requests_per_s=body.requests_per_s,
        bytes_per_s=body.bytes_per_s,
        connections=body.connections,
    )

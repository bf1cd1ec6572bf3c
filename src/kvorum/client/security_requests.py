"""Requests about who may do what: tokens, users, roles, revoked certificates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from kvorum.client.lifetime import Ttl, WrongType, seconds_of
from kvorum.client.requests import Request, body_of
from kvorum.model.errors import RequestError

Grants = Sequence[Mapping[str, Any]]
"""Each {"role": ..., "namespace": ..., "prefix": ...}, of which only the role is needed."""

Limits = Mapping[str, int]
"""requests_per_s, bytes_per_s, connections; what is left out has no limit."""

NO_PASSWORD: Final = ""
"""In place of a password: the user is to have none."""


def grants_of(
    roles: str | Iterable[str], namespace: str | None, prefix: str, grants: Grants
) -> list[dict[str, Any]]:
    """All of `grants`, and of each of `roles` one in `namespace` for keys with `prefix`."""
    several = [roles] if isinstance(roles, str) else list(roles)
    narrowing = {"namespace": namespace, "prefix": prefix or None}
    scope = {name: value for name, value in narrowing.items() if value is not None}
    return [{"role": role, **scope} for role in several] + [dict(one) for one in grants]


def whoami() -> Request:
    """Who the client is."""
    return _get("/whoami")


def tokens() -> Request:
    """Which tokens there are."""
    return _get("/tokens")


def create_token(name: str, grants: Grants, expires: Ttl | None, limits: Limits | None) -> Request:
    """Make a token. Raises RequestError for a lifetime that is none."""
    expires_s = seconds_of(expires)
    if expires_s == 0:
        raise RequestError(
            "A token that expires in 0 seconds is of no use. Give more, or leave it out for one "
            "that counts until it is revoked."
        )
    # Not safe to repeat: each time makes another token.
    body = body_of(name=name, grants=grants, expires_s=expires_s, limits=limits)
    return Request("POST", "/tokens", body=body, timed=False)


def revoke_token(token_id: str) -> Request:
    """End a token."""
    return Request("DELETE", _path("tokens", token_id), timed=False)


def users() -> Request:
    """Which users there are."""
    return _get("/users")


def set_user(
    name: str,
    grants: Grants | None,
    password: str | None,
    limits: Limits | None,
    exists: bool | None,
) -> Request:
    """Make or alter a user. What is None stays as it is; NO_PASSWORD takes the password away."""
    members: dict[str, Any] = {"grants": grants, "limits": limits, "exists": exists}
    given = {member: value for member, value in members.items() if value is not None}
    if password is not None:
        given["password"] = None if password == NO_PASSWORD else _text(password)
    body = msgspec.json.encode(given)
    return Request("PUT", _path("users", name), body=body, safe=exists is not False, timed=False)


def remove_user(name: str) -> Request:
    """End a user."""
    return Request("DELETE", _path("users", name), timed=False)


def roles() -> Request:
    """Which roles there are."""
    return _get("/roles")


def set_role(
    name: str,
    permissions: Iterable[str],
    namespace: str | None,
    prefix: str,
    exists: bool | None,
) -> Request:
    """Make or replace a role."""
    several = [permissions] if isinstance(permissions, str) else list(permissions)
    body = body_of(permissions=several, namespace=namespace, prefix=prefix or None, exists=exists)
    return Request("PUT", _path("roles", name), body=body, safe=exists is not False, timed=False)


def remove_role(name: str) -> Request:
    """End a role."""
    return Request("DELETE", _path("roles", name), timed=False)


def revocations() -> Request:
    """Which certificates are not accepted any more."""
    return _get("/revocations")


def revoke_certificate(serial: str, name: str, until_ms: int | None) -> Request:
    """Have a certificate not accepted any more."""
    body = body_of(serial=serial, name=name, until_ms=until_ms)
    return Request("POST", "/revocations", body=body, safe=True, timed=False)


def _get(path: str) -> Request:
    return Request("GET", path, safe=True, timed=False)


def _path(root: str, name: str) -> str:
    return f"/{root}/{quote(name, safe='')}"


def _text(password: str) -> str:
    """Raises WrongType for what JSON cannot carry, without showing it."""
    try:
        password.encode()
    except (AttributeError, UnicodeEncodeError):
        raise WrongType("A password is a str of Unicode text.") from None
    return password

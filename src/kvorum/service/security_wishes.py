"""What is asked for of the security catalog, and what of that cannot be.

Whether a role is there and what may stand in a grant, the catalog says itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from kvorum.model.errors import ConfigError, PreconditionFailed, RequestError
from kvorum.model.field_checks import check_name
from kvorum.model.permissions import Grant
from kvorum.model.security_catalog import SecurityCatalog, no_such
from kvorum.model.security_values import UNLIMITED, Password, PrincipalLimits, Token, User
from kvorum.service.tokens import NewToken

LIFETIME_S_MAX: Final = 10 * 365 * 86_400
"""Of a token that expires: 10 years."""
PASSWORD_CHARS_MIN: Final = 8
PASSWORD_BYTES_MAX: Final = 1024

_SERIAL: Final = re.compile(r"[1-9a-f][0-9a-f]{0,39}")


class TokenWish(msgspec.Struct, frozen=True, kw_only=True):
    """A token to make. `expires_s`: seconds from now; None for never."""

    name: str
    grants: tuple[Grant, ...]
    expires_s: int | None = None
    limits: PrincipalLimits = UNLIMITED

    @property
    def subject(self) -> str:
        """What an audit log says that this is about."""
        return f"make token {self.name}: {_named(self.grants)}"

    def check(self) -> None:
        """Raises RequestError for a lifetime that no token can have."""
        if self.expires_s is not None and not 0 < self.expires_s <= LIFETIME_S_MAX:
            raise RequestError(
                f"A token cannot live for {self.expires_s} seconds: 1 to {LIFETIME_S_MAX} (10 "
                "years) are possible. Give one of these, or leave it out for a token that counts "
                "until it is revoked."
            )

    def token(self, new: NewToken, now_ms: int) -> Token:
        """What is kept of it. `now_ms`: since 1970."""
        return Token(
            id=new.id,
            name=self.name,
            digest=new.digest,
            grants=self.grants,
            created_ms=now_ms,
            expires_ms=0 if self.expires_s is None else now_ms + 1000 * self.expires_s,
            limits=self.limits,
        )


class UserWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a user is to have; what is left out stays as it is. `password`: None for none.
    `exists`: with True, there has to be such a user already; with False, there may be none.
    """

    name: str
    grants: tuple[Grant, ...] | msgspec.UnsetType = msgspec.UNSET
    password: str | msgspec.UnsetType | None = msgspec.UNSET
    limits: PrincipalLimits | msgspec.UnsetType = msgspec.UNSET
    exists: bool | None = None

    def __repr__(self) -> str:
        return f"UserWish({self.name!r})"

    @property
    def subject(self) -> str:
        """What an audit log says that this is about."""
        parts = []
        if self.grants is not msgspec.UNSET:
            parts.append(_named(self.grants))
        if self.password is not msgspec.UNSET:
            parts.append("no password" if self.password is None else "a new password")
        if self.limits is not msgspec.UNSET:
            parts.append("limits")
        return f"set user {self.name}: {', '.join(parts) or 'nothing'}"

    def user(self, catalog: SecurityCatalog, password: Password | None) -> User:
        """The user as he is to be. `password`: what is kept of a new one. Raises RequestError."""
        old = catalog.user(self.name)
        check_exists("user", self.name, old is not None, self.exists)
        user = old or User(name=self.name, grants=())
        if self.grants is not msgspec.UNSET:
            user = msgspec.structs.replace(user, grants=self.grants)
        if self.password is not msgspec.UNSET:
            user = msgspec.structs.replace(user, password=password)
        if self.limits is not msgspec.UNSET:
            user = msgspec.structs.replace(user, limits=self.limits)
        return user


def _named(grants: Iterable[Grant]) -> str:
    """Grants as people read them: `writer`, `reader in shop`, `reader in shop for cart/*`."""
    return (
        ", ".join(
            grant.role
            + (f" in {grant.namespace}" if grant.namespace else "")
            + (f" for {grant.prefix}*" if grant.prefix else "")
            for grant in grants
        )
        or "no grants"
    )


def checked_password(password: str) -> bytes:
    """The bytes of a new password. Raises RequestError, which does not show it."""
    try:
        data = password.encode()
    except UnicodeEncodeError:
        raise RequestError("The password is no text. Choose another one.") from None
    if len(password) < PASSWORD_CHARS_MIN:
        raise RequestError(
            f"The password is shorter than {PASSWORD_CHARS_MIN} characters. Choose a longer one."
        )
    if len(data) > PASSWORD_BYTES_MAX:
        raise RequestError(
            f"The password has {len(data)} bytes, and may have {PASSWORD_BYTES_MAX}. Choose a "
            "shorter one."
        )
    return data


def check_certificate(serial: str, name: str) -> None:
    """Raises RequestError if no certificate can have that number and name."""
    if not _SERIAL.fullmatch(serial):
        raise RequestError(
            f"{serial[:60]!r} is no number of a certificate. Give at most 40 hexadecimal digits in "
            "lower case, without leading zeros and colons, as 'kvorum certs list' shows it."
        )
    try:
        check_name(name)
    except ConfigError as error:
        raise RequestError(error.message) from error


def check_exists(
    kind: Literal["user", "role"], name: str, is_there: bool, wanted: bool | None
) -> None:
    """Raises PreconditionFailed if there is one and may not be, NotFound if there has to be one."""
    if is_there and wanted is False:
        raise PreconditionFailed(
            f"There is a {kind} {name!r} already. Choose another name, or alter that one."
        )
    if not is_there and wanted:
        raise no_such(kind, name)

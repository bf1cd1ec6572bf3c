"""Live principals: those that connections have now, by what was shown.

They follow the security catalog: what is taken from a token, user or certificate is taken from all
its connections at once, and what is granted is granted to them. The limits of a token or user hold
for all its connections together, also for those that come and go.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from kvorum.model.security_catalog import SecurityCatalog
from kvorum.model.security_values import UNLIMITED, Password, Token, User
from kvorum.service.allowance import Allowance
from kvorum.service.principal import Principal
from kvorum.service.rights import NONE, Rights, rights_of

NEVER_MS: Final = sys.maxsize


class Shown(NamedTuple):
    """What a connection has shown. `name`: a token's id, or a user's name. `proof`: what has to be
    in the catalog as long as it counts: a token's digest, what is kept of a password, or the number
    of a certificate, which must not be revoked.
    """

    kind: Literal["token", "user", "certificate"]
    name: str
    proof: str | Password

    def __repr__(self) -> str:
        return f"Shown({self.kind!r}, {self.name!r})"


class LivePrincipals:
    """All principals but those that have shown nothing."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now`: monotonic seconds."""
        self._now = now
        self._shown: dict[Principal, Shown] = {}
        self._alike: dict[Shown, set[Principal]] = {}
        self._rights: dict[Shown, Rights] = {}
        self._allowances: dict[tuple[bool, str], Allowance] = {}
        """By whether it is a token's, and its id or the name of the user."""
        self.next_expiry_ms = NEVER_MS
        """When the first of them expires, in ms since 1970."""

    def __len__(self) -> int:
        return len(self._shown)

    def enter(
        self, shown: Shown, value: Token | User, source: str, catalog: SecurityCatalog
    ) -> Principal:
        """The principal of a connection from `source` that has shown `value`'s secret.

        Raises TooManyRequests if it may have no more connections.
        """
        allowance = self._allowance(shown, value)
        if allowance is not None:
            allowance.connect()
        rights = self._rights.get(shown)
        if rights is None:
            rights = self._rights[shown] = rights_of(catalog.allowed(value.grants))
        principal = Principal(value.name, shown.kind, source, rights, allowance)
        self._shown[principal] = shown
        self._alike.setdefault(shown, set()).add(principal)
        self.next_expiry_ms = min(self.next_expiry_ms, _expires_ms(value))
        return principal

    def leave(self, principal: Principal) -> None:
        """Its connection has ended, or shows something else. Does nothing if it is not here."""
        shown = self._shown.pop(principal, None)
        if shown is None:
            return
        principal.valid = False
        if principal.allowance is not None:
            principal.allowance.disconnect()
        alike = self._alike[shown]
        alike.discard(principal)
        if not alike:
            del self._alike[shown], self._rights[shown]

    def holder(self, principal: Principal, catalog: SecurityCatalog) -> Token | User | None:
        """What of `catalog` it stands for; None if it is not here."""
        shown = self._shown.get(principal)
        return None if shown is None else _value(shown, catalog)

    def follow(self, catalog: SecurityCatalog, now_ms: int) -> None:
        """Give and take what `catalog` and the clock (ms since 1970) say."""
        self.next_expiry_ms = NEVER_MS
        for shown in list(self._alike):
            value = _value(shown, catalog)
            if value is None or _expires_ms(value) <= now_ms:
                self._end(shown)
            else:
                self._renew(shown, value, catalog)
        self._allowances = {
            (is_token, name): allowance
            for (is_token, name), allowance in self._allowances.items()
            if (catalog.token(name) if is_token else catalog.user(name)) is not None
        }

    def _end(self, shown: Shown) -> None:
        for principal in list(self._alike[shown]):
            principal.rights = NONE
            self.leave(principal)

    def _renew(self, shown: Shown, value: Token | User, catalog: SecurityCatalog) -> None:
        rights = self._rights[shown] = rights_of(catalog.allowed(value.grants))
        allowance = self._allowance(shown, value)
        for principal in self._alike[shown]:
            principal.rights = rights
            if principal.allowance is not allowance:
                if principal.allowance is not None:
                    principal.allowance.disconnect()
                principal.allowance = allowance
                if allowance is not None:
                    allowance.connections += 1
        self.next_expiry_ms = min(self.next_expiry_ms, _expires_ms(value))

    def _allowance(self, shown: Shown, value: Token | User) -> Allowance | None:
        holder = shown.kind == "token", shown.name
        if value.limits == UNLIMITED:
            return None
        allowance = self._allowances.get(holder)
        if allowance is None or allowance.limits != value.limits:
            what = "token" if isinstance(value, Token) else "user"
            allowance = Allowance(f"The {what} {value.name!r}", value.limits, self._now)
            self._allowances[holder] = allowance
        return allowance


def _value(shown: Shown, catalog: SecurityCatalog) -> Token | User | None:
    """What was shown, if it still counts."""
    if shown.kind == "token":
        token = catalog.token(shown.name)
        return None if token is None or token.digest != shown.proof else token
    user = catalog.user(shown.name)
    if user is None:
        return None
    if shown.kind == "user":
        return user if user.password == shown.proof else None
    assert isinstance(shown.proof, str)
    return None if catalog.is_revoked(shown.proof) else user


def _expires_ms(value: Token | User) -> int:
    return (isinstance(value, Token) and value.expires_ms) or NEVER_MS

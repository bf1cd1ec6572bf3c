"""The authenticator of a secure cluster: by the security catalog.

    Bearer token        the token of that id, if its SHA-256 is the one that is kept
    name and password   the user of that name, if the password fits (`passwords.py`)
    certificate         the user of that name, if no Authorization is given

Whoever guesses learns nothing from how long it takes: a token or user that there is not is compared
with one that fits nothing, by the same calls. Failures are counted (`attempts.py`).

Principals of a token or user follow it: what a change of the catalog or the clock takes from it
is taken from all of its connections at once (`live_principals.py`).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from typing import Final

from kvorum.model.certified_name import CertifiedName
from kvorum.model.errors import KvorumError, TooManyAttempts, Unauthenticated
from kvorum.model.security_catalog import SecurityCatalog
from kvorum.model.security_values import Password, Token, User
from kvorum.runtime.ports import Runtime
from kvorum.service.attempts import Attempts
from kvorum.service.authentication import Caller, Verification
from kvorum.service.credentials import BearerToken, NameAndPassword, credentials_in
from kvorum.service.live_principals import LivePrincipals, Shown
from kvorum.service.passwords import NO_PASSWORD, PasswordWork
from kvorum.service.principal import Principal
from kvorum.service.rights import NONE
from kvorum.service.tokens import digest_of, id_of
from kvorum.service.verified_passwords import VerifiedPasswords

_NO_DIGEST: Final = "0" * 64
"""Of tokens that there are not: no token has it, as far as anybody knows."""


class CatalogAuthenticator:
    """Knows all tokens and users of `catalog`, and of those that replace it."""

    def __init__(
        self,
        catalog: SecurityCatalog,
        runtime: Runtime,
        work: PasswordWork,
        attempts: Attempts | None = None,
    ) -> None:
        self.attempts: Final = attempts or Attempts(runtime.now)
        self.stranger: Final = _nobody("")
        self._catalog = catalog
        self._runtime = runtime
        self._work = work
        self._verified = VerifiedPasswords()
        self._pending: dict[tuple[str, bytes], list[Callable[[bool | KvorumError], object]]] = {}
        """Passwords that are being verified, each once, by source and hash."""
        self._live = LivePrincipals(runtime.now)

    @property
    def principals(self) -> int:
        """How many connections have a principal."""
        return len(self._live)

    def identify(self, authorization: bytes | None, caller: Caller, /) -> Principal | Verification:
        if authorization is None:
            return self._by_certificate(caller)
        shown = credentials_in(authorization)
        if isinstance(shown, BearerToken):
            return self._by_token(shown, caller.source)
        return self._by_password(shown, caller.source)

    def leave(self, principal: Principal, /) -> None:
        self._live.leave(principal)

    def holder(self, principal: Principal) -> Token | User | None:
        """The token or user that a principal is now; None if it is neither."""
        return self._live.holder(principal, self._catalog)

    def on_catalog(self, catalog: SecurityCatalog) -> None:
        """The catalog is another one now."""
        self._catalog = catalog
        self._live.follow(catalog, self._runtime.wall_ms())

    def on_tick(self, now_ms: int) -> None:
        """Called about once a second, with milliseconds since 1970: takes away what expires."""
        if now_ms >= self._live.next_expiry_ms:
            self._live.follow(self._catalog, now_ms)

    # Tokens

    def _by_token(self, shown: BearerToken, source: str) -> Principal:
        token = self._catalog.token(id_of(shown.text) or "")
        kept = _NO_DIGEST if token is None else token.digest
        if not hmac.compare_digest(digest_of(shown.text), kept) or token is None:
            raise self._wrong_token(source)
        if token.expires_ms and self._runtime.wall_ms() >= token.expires_ms:
            raise Unauthenticated(
                f"The token {token.name!r} has expired. Ask an administrator for another one."
            )
        return self._enter(Shown("token", token.id, token.digest), token, source)

    def _wrong_token(self, source: str) -> KvorumError:
        try:
            self.attempts.check(source)
        except TooManyAttempts as error:
            return error
        self.attempts.failed(source)
        return Unauthenticated("The token is none of this cluster, or was revoked.")

    # Certificates

    def _by_certificate(self, caller: Caller) -> Principal:
        certified = caller.certified
        if certified is None or certified.kind != "client":
            return _nobody(caller.source)
        user = self._catalog.user(certified.name)
        if self._catalog.is_revoked(certified.serial):
            raise Unauthenticated(
                f"The certificate of {certified.name!r} was revoked. Ask an administrator for "
                "another one."
            )
        if user is None:
            raise _no_such_user(certified)
        return self._enter(Shown("certificate", user.name, certified.serial), user, caller.source)

    # Passwords

    def _by_password(self, shown: NameAndPassword, source: str) -> Principal | Verification:
        user = self._catalog.user(shown.name)
        kept = NO_PASSWORD if user is None or user.password is None else user.password
        known = self._verified.hash_of(shown)
        if user is not None and self._verified.has(known, kept):
            return self._enter(_password_of(user, kept), user, source)
        self.attempts.check(source, shown.name)
        verification = Verification()
        ended = partial(self._verified_for, verification, shown.name, kept, source)
        self._verify(shown, known, kept, source, ended)
        return verification

    def _verify(
        self,
        shown: NameAndPassword,
        known: bytes,
        kept: Password,
        source: str,
        ended: Callable[[bool | KvorumError], object],
    ) -> None:
        """Have it verified; once for all connections of a source that show the same."""
        waiting = self._pending.get((source, known))
        if waiting is not None:
            waiting.append(ended)
            return

        def done(result: bool | KvorumError) -> None:
            if result is True:
                self._verified.add(known, kept)
                self.attempts.succeeded(shown.name)
            elif result is False:
                self.attempts.failed(source, shown.name)
            for tell in self._pending.pop((source, known)):
                tell(result)

        def objection() -> KvorumError | None:
            try:
                self.attempts.check(source, shown.name)
            except TooManyAttempts as error:
                return error
            return None

        self._work.verify(shown.password, kept, done, objection)
        self._pending[source, known] = [ended]

    def _verified_for(
        self,
        verification: Verification,
        name: str,
        kept: Password,
        source: str,
        result: bool | KvorumError,
    ) -> None:
        user = self._catalog.user(name)
        if isinstance(result, KvorumError):
            verification.end(result)
        elif not result or user is None or user.password != kept:
            verification.end(Unauthenticated("The name or the password is wrong."))
        else:
            try:
                verification.end(self._enter(_password_of(user, kept), user, source))
            except KvorumError as error:
                verification.end(error)

    # Both

    def _enter(self, shown: Shown, value: Token | User, source: str) -> Principal:
        return self._live.enter(shown, value, source, self._catalog)


def _nobody(source: str) -> Principal:
    principal = Principal("anonymous", "anonymous", source, NONE)
    principal.valid = False
    return principal


def _password_of(user: User, kept: Password) -> Shown:
    return Shown("user", user.name, kept)


def _no_such_user(certified: CertifiedName) -> Unauthenticated:
    return Unauthenticated(
        f"The certificate is of {certified.name!r}, and the cluster has no such user. Ask an "
        f"administrator to add it: 'kvorum user add {certified.name}'."
    )

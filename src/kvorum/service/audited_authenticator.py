"""The authenticator of a node with an audit log, which is told of everybody who was refused.

Every request of a refused connection is told of, also those that are refused without a look at what
they show because there were too many failures before (`too_many_attempts`).
"""

from __future__ import annotations

from functools import partial

from kvorum.model.errors import KvorumError
from kvorum.service.audit import Auditor
from kvorum.service.authentication import Authenticator, Caller, Verification
from kvorum.service.credentials import BearerToken, credentials_in
from kvorum.service.principal import Principal
from kvorum.service.tokens import id_of


class AuditedAuthenticator:
    """Says who somebody is, as `authenticator` does, and tells `auditor` whom that refuses."""

    def __init__(self, authenticator: Authenticator, auditor: Auditor) -> None:
        self.stranger = authenticator.stranger
        self.leave = authenticator.leave
        self._identify = authenticator.identify
        self._auditor = auditor

    def identify(self, authorization: bytes | None, caller: Caller, /) -> Principal | Verification:
        try:
            found = self._identify(authorization, caller)
        except KvorumError as error:
            self._hear(caller.source, _claimed(authorization, caller), error)
            raise
        if isinstance(found, Verification):
            # The name alone is kept meanwhile, not what else was shown.
            found.then(partial(self._hear, caller.source, _claimed(authorization, caller)))
        return found

    def _hear(self, source: str, name: str, result: Principal | KvorumError) -> None:
        if isinstance(result, KvorumError):
            self._auditor.refused_login(source, name, result.code)


def _claimed(authorization: bytes | None, caller: Caller) -> str:
    """Whom somebody says to be: a user's name, a token's id; "" if that is not said."""
    if authorization is None:
        return "" if caller.certified is None else caller.certified.name
    try:
        shown = credentials_in(authorization)
    except KvorumError:
        return ""
    if isinstance(shown, BearerToken):
        token_id = id_of(shown.text)
        return "" if token_id is None else f"kvt_{token_id}"
    return shown.name

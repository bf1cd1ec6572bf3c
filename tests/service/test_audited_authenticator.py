"""Whoever is refused is told to the auditor: by whom he claims to be, and never what he shows."""

from __future__ import annotations

import base64

import pytest
from kit.auditors import ListeningAuditor

from kvorum.listener.caller import Caller
from kvorum.model.audit_level import AuditLevel
from kvorum.model.certified_name import CertifiedName
from kvorum.model.errors import KvorumError, Unauthenticated
from kvorum.service.audited_authenticator import AuditedAuthenticator
from kvorum.service.authentication import Verification
from kvorum.service.principal import ANONYMOUS, LOCAL, Principal
from kvorum.service.tokens import NewToken

TOKEN = NewToken("kvt_0123456789ab_" + "x" * 43, "0123456789ab", "")
PASSWORD = "correct horse"
BASIC = b"Basic " + base64.b64encode(f"ann:{PASSWORD}".encode())
BEARER = b"Bearer " + TOKEN.text.encode()
CERTIFIED = CertifiedName("shop", "client", "bob", "a1")


class Deciding:
    """An authenticator that does as it is told."""

    stranger = ANONYMOUS

    def __init__(self, result: Principal | Verification | KvorumError) -> None:
        self._result = result
        self.left: list[Principal] = []

    def identify(
        self, _authorization: bytes | None, _caller: object, /
    ) -> Principal | Verification:
        if isinstance(self._result, KvorumError):
            raise self._result
        return self._result

    def leave(self, principal: Principal, /) -> None:
        self.left.append(principal)


def audited(
    result: Principal | Verification | KvorumError,
) -> tuple[AuditedAuthenticator, ListeningAuditor]:
    auditor = ListeningAuditor(AuditLevel.ADMIN)
    return AuditedAuthenticator(Deciding(result), auditor), auditor


@pytest.mark.parametrize(
    ("shown", "certified", "name"),
    [
        (BEARER, None, f"kvt_{TOKEN.id}"),
        (BASIC, None, "ann"),
        (None, CERTIFIED, "bob"),
        (BASIC, CERTIFIED, "ann"),
        (None, None, ""),
        (b"Bearer nonsense", None, ""),
        (b"Digest x", None, ""),
        (b"\xff", None, ""),
    ],
)
def test_whoever_is_refused_is_told_of(
    shown: bytes | None, certified: CertifiedName | None, name: str
) -> None:
    authenticator, auditor = audited(Unauthenticated("no"))
    with pytest.raises(Unauthenticated):
        authenticator.identify(shown, Caller("10.0.0.9", certified))
    assert auditor.logins == [("10.0.0.9", name, "unauthenticated")]
    assert TOKEN.text not in repr(auditor.logins)
    assert PASSWORD not in repr(auditor.logins)


def test_whoever_is_let_in_is_not_told_of() -> None:
    authenticator, auditor = audited(LOCAL)
    assert authenticator.identify(BEARER, Caller("10.0.0.9", None)) is LOCAL
    assert not auditor.logins


def test_a_password_is_told_of_once_it_is_verified() -> None:
    for result in (LOCAL, Unauthenticated("no")):
        verification = Verification()
        authenticator, auditor = audited(verification)
        assert authenticator.identify(BASIC, Caller("10.0.0.9", None)) is verification
        assert not auditor.logins
        verification.end(result)
        refused = [("10.0.0.9", "ann", "unauthenticated")]
        assert auditor.logins == (refused if result is not LOCAL else [])

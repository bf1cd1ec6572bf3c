"""An auditor that keeps what it is told, in the place of an audit log."""

from __future__ import annotations

from typing import NamedTuple

from kvorum.model.audit_level import AuditLevel
from kvorum.service.principal import Principal


class Told(NamedTuple):
    name: str
    action: str
    namespace: str | None
    key: str | None
    outcome: str
    subject: str | None


class ListeningAuditor:
    def __init__(self, level: AuditLevel) -> None:
        self.level = level
        self.told: list[Told] = []
        self.logins: list[tuple[str, str, str]] = []

    def note(
        self,
        principal: Principal,
        action: str,
        namespace: str | None,
        key: str | None,
        outcome: str,
        subject: str | None = None,
    ) -> None:
        self.told.append(Told(principal.name, action, namespace, key, outcome, subject))

    def refused_login(self, source: str, name: str, reason: str) -> None:
        self.logins.append((source, name, reason))

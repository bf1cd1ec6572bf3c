"""Audit levels: how much of what is asked of a node its audit log holds."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class AuditLevel(StrEnum):
    """Each holds what the one before it does, and more."""

    OFF = "off"
    ADMIN = "admin"
    """Administrative actions, every refusal, and failed authentications."""
    WRITES = "writes"
    """Also what changes entries."""
    ALL = "all"
    """Also what is only read."""

    @property
    def is_on(self) -> bool:
        """True if there is a log at all."""
        return self is not AuditLevel.OFF

    def covers(self, level: AuditLevel) -> bool:
        """True if a log at this level holds what belongs to `level`."""
        return _ORDER[level] <= _ORDER[self]


_ORDER: Final = {level: place for place, level in enumerate(AuditLevel)}

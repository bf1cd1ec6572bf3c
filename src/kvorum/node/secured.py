"""The secure mode of a node: TLS at both ports, and nobody is served who does not say who he is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kvorum.audit.settings import AuditSettings
from kvorum.model.audit_level import AuditLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """What a node in secure mode is given. A node without it is open: it serves everybody."""

    certs: Path
    """The directory with ca.crt, and with certificate and key of the node."""
    audit: AuditSettings = field(default_factory=AuditSettings)
    writes_admin_token: bool = True
    """Whether the node puts the first administrator's token into its data directory at its first
    start. Where several nodes live on one machine, whoever starts them does that once.
    """


NO_AUDIT: Final = AuditSettings(level=AuditLevel.OFF)
"""Of a node that serves whoever reaches it, by no name."""

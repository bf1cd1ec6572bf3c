"""The audit log of a node, if it keeps one: begun before anything is asked of the node, and ended
after everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from kvorum.audit.audit_log import AuditLog
from kvorum.audit.files import AUDIT
from kvorum.audit.settings import AuditSettings
from kvorum.model.audit_level import AuditLevel
from kvorum.service.audit import UNAUDITED, NoAuditor
from kvorum.storage.directory import DataDirectory


async def begin_audit(
    directory: DataDirectory,
    settings: AuditSettings,
    node: str,
    wall_ms: Callable[[], int],
    parts: AsyncExitStack,
) -> AuditLog | NoAuditor:
    """The auditor of the node called `node`, which `parts` ends. Raises ConfigError."""
    if settings.level is AuditLevel.OFF:
        return UNAUDITED
    space = directory.space
    log = AuditLog(directory.path / AUDIT, settings, node, wall_ms, lambda: not space.full)
    await asyncio.to_thread(log.start)
    parts.push_async_callback(asyncio.to_thread, log.close)
    return log

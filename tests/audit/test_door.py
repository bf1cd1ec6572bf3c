"""The audit log behind the door of a node: what is asked there is in its files."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from kit.audit_logs import WALL_MS, audit_log, entries
from kit.node import SECRET, FakeNode, actor_name

from kvorum.audit.audit_log import AuditLog
from kvorum.audit.settings import AuditSettings
from kvorum.audit.verification import verify
from kvorum.model.audit_level import AuditLevel
from kvorum.model.errors import AccessDenied, KvorumError
from kvorum.model.record import JSON
from kvorum.model.request import Get, Put, Request
from kvorum.node.auditing import begin_audit
from kvorum.service.access import SamePolicy
from kvorum.service.action import Action
from kvorum.service.audit import UNAUDITED, Auditor
from kvorum.service.audited_service import service_for
from kvorum.service.principal import LOCAL
from kvorum.service.reply import Reply
from kvorum.storage.directory import DataDirectory
from kvorum.storage.identity import Facts


class Ignored(Reply[Any]):
    def answer(self, result: Any) -> None: ...

    def refuse(self, error: KvorumError) -> None: ...

    def fail(self) -> None: ...


def test_requests_are_in_the_files(tmp_path: Path) -> None:
    log = audit_log(tmp_path, level=AuditLevel.WRITES)
    log.start()
    auditor: Auditor = log
    node, policy = FakeNode(), SamePolicy({Action.WRITE})
    service = service_for(auditor)(node, SECRET, actor_name, policy=policy, auditor=auditor)

    async def play() -> None:
        requests: list[Request] = [Put("default", "k", JSON, b'"a value"'), Get("default", "k")]
        service.submit(LOCAL, requests[0], Ignored())
        with pytest.raises(AccessDenied):
            service.submit(LOCAL, requests[1], Ignored())
        await asyncio.sleep(0)

    asyncio.run(play())
    log.close()
    found = [(e["kind"], e["action"], e["key"], e["outcome"]) for e in entries(tmp_path)]
    assert sorted(found) == [
        ("local", "read", "k", "access_denied"),
        ("local", "write", "k", "ok"),
    ]
    assert "a value" not in str(entries(tmp_path))


@pytest.mark.parametrize("level", AuditLevel)
def test_a_node_has_the_log_that_it_was_told_to_keep(tmp_path: Path, level: AuditLevel) -> None:
    directory = DataDirectory.open(tmp_path, Facts("shop", "n1", 64, "murmur3", 0))

    async def live() -> None:
        async with AsyncExitStack() as parts:
            settings = AuditSettings(level=level)
            auditor = await begin_audit(directory, settings, "n1", lambda: WALL_MS, parts)
            if level is AuditLevel.OFF:
                assert auditor is UNAUDITED
            else:
                assert isinstance(auditor, AuditLog)
                auditor.note(LOCAL, "scrub", None, None, "ok")

    asyncio.run(live())
    directory.release()
    if level is AuditLevel.OFF:
        assert not (tmp_path / "audit").exists()
    else:
        assert [entry["action"] for entry in entries(tmp_path / "audit")] == ["scrub"]
        assert verify(tmp_path / "audit").problem is None

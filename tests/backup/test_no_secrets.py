"""A snapshot holds data, and nothing of who may read it."""

from __future__ import annotations

from kit.backed_up import BackedUp

from kvorum.model.permissions import Grant
from kvorum.model.security_catalog import SecurityCatalog, SecurityEntry
from kvorum.model.security_values import Token
from kvorum.storage.security_file import SECURITY, SecurityFile

DIGEST = "5ec4e7" * 10


def test_a_snapshot_has_no_security_catalog(node: BackedUp) -> None:
    token = Token(id="a", name="a", digest=DIGEST, grants=(Grant(role="admin"),), created_ms=1)
    catalog = SecurityCatalog([SecurityEntry("token", "a", 1, 0, token)])
    SecurityFile(node.node.data_dir).write(catalog)
    assert (node.node.data_dir / SECURITY).exists()
    node.create("monday")
    files = [path for path in node.snapshot("monday").rglob("*") if path.is_file()]
    assert files
    assert all(path.name != SECURITY for path in files)
    assert all(DIGEST.encode() not in path.read_bytes() for path in files)

"""The floors of the house: imports only point down. And the names of rooms say something."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "kvorum"

# Each room and the rooms it may import from, beside itself.
BELOW_WIRE = {"model"}
BELOW_RUNTIME = BELOW_WIRE
BELOW_STORAGE = {"model", "runtime"}
BELOW_SERVICE = {"model", "runtime", "documents"}
BELOW_LINKS = {"model", "wire", "runtime"}
BELOW_CLUSTER = BELOW_LINKS | {"links"}
BELOW_OPERATIONS = BELOW_CLUSTER | {"cluster"}
BELOW_REPLICA = BELOW_OPERATIONS | {"operations", "storage"}
BELOW_HANDOFF = BELOW_REPLICA | {"replica", "documents"}
BELOW_REPAIR = BELOW_HANDOFF | {"handoff"}
BELOW_REPLICATION = BELOW_REPAIR | {"repair"}
ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "documents": {"model"},
    "wire": BELOW_WIRE,
    "runtime": BELOW_RUNTIME,
    "storage": BELOW_STORAGE,
    "sealing": BELOW_STORAGE | {"storage", "documents"},
    "journal": BELOW_STORAGE | {"storage", "sealing"},
    "backup": BELOW_STORAGE | {"storage", "sealing", "journal", "documents"},
    "tls": {"model", "runtime"},
    "certificates": {"model", "runtime", "tls"},
    "audit": BELOW_STORAGE | {"storage"},
    "links": BELOW_LINKS,
    "net": BELOW_LINKS | {"links", "tls"},
    "cluster": BELOW_CLUSTER,
    "operations": BELOW_OPERATIONS,
    "replica": BELOW_REPLICA,
    "handoff": BELOW_HANDOFF,
    "repair": BELOW_REPAIR,
    "replication": BELOW_REPLICATION,
    "service": BELOW_SERVICE,
    "listener": BELOW_SERVICE | {"tls"},
    "api": BELOW_SERVICE | {"service", "listener"},
    "client": {"model", "wire", "runtime", "documents", "tls"},
    "bench": {"model", "runtime", "client", "tls"},
    "metrics": BELOW_SERVICE | {"service", "journal"},
    "sim": BELOW_REPLICATION | {"replication", "sealing", "journal"},
    "local_namespaces": BELOW_STORAGE | {"storage", "sealing", "journal"},
    "local_store": BELOW_STORAGE | {"storage", "sealing", "journal", "local_namespaces"},
    "namespaces": BELOW_CLUSTER | {"cluster", "documents", "local_namespaces"},
    "node": BELOW_REPLICATION
    | {"net", "replication", "service", "listener", "api", "sealing", "backup"}
    | {"local_store", "namespaces", "metrics", "wire", "tls", "audit"},
    "aio": {"client"},
    "errors": {"model", "client"},
    "embedded": BELOW_REPLICATION
    | {"replication", "service", "client", "sealing", "local_store", "namespaces"},
    "devcluster": {"model", "runtime", "documents", "tls"},
    "demo": {"model", "runtime", "client", "bench", "devcluster"},
    "cli": BELOW_REPLICATION
    | {"replication", "api", "client", "bench", "sim", "node", "devcluster", "demo"}
    | {"sealing", "backup", "tls", "certificates", "audit", "service", "storage"},
}
# Of links and storage the pure floors know the ports and their notes, never what is behind them.
PORTS_ONLY = {"cluster", "operations", "replica", "handoff", "repair", "replication"}
PORTS = {"kvorum.links.transport", "kvorum.storage.store", "kvorum.storage.recovery_note"}
# The pure floors receive time, chance, sockets, files and threads; they never fetch them.
PURE = {"model", "links", *PORTS_ONLY}
WORLD = {
    "asyncio", "datetime", "os", "pathlib", "random", "secrets", "select", "socket",
    "subprocess", "tempfile", "threading", "time", "uvloop",
}  # fmt: skip
ROOMS_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    assert here in ALLOWED, f"a new room: give {here!r} its place in ALLOWED"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "kvorum" and len(parts) > 1:
            assert parts[1] == here or parts[1] in ALLOWED[here], f"{path} imports {name}"
            if here in PORTS_ONLY and parts[1] in ("links", "storage"):
                assert name in PORTS, f"{path} imports {name}, behind a port"
        if here in PURE:
            assert parts[0] not in WORLD, f"{path} imports {name}: it must be handed to it"


def test_names_of_rooms_say_what_is_in_them() -> None:
    for path in modules():
        assert not ROOMS_THAT_SAY_NOTHING & set(path.relative_to(SOURCE).with_suffix("").parts)

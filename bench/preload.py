"""Before anything is measured: every key is stored, and read back through any node."""

from __future__ import annotations

from collections.abc import Iterator

from system import Cluster, System, key_name

from kvorum.bench.driver import Limits, drive
from kvorum.bench.workload import Follow, Operation
from kvorum.model.errors import KvorumError, ProtocolError
from kvorum.runtime.loop import run

_LIMITS = Limits(timeout_s=10.0, errors=1)


def preload(system: System, cluster: Cluster, keys: int, connections: int) -> None:
    """Raises KvorumError if a key cannot be stored or comes back with another value."""
    names = [key_name(number) for number in range(keys)]
    stores = (Operation("put", system.put(name, _value(name))) for name in names)
    reads = (Operation("get", system.get(name), _expect(system, name)) for name in names)
    for operations in (stores, reads):
        _drive(cluster, operations, keys, connections)


def _drive(cluster: Cluster, operations: Iterator[Operation], count: int, connections: int) -> None:
    measured = run(drive(cluster.nodes, connections, _Source(operations), _LIMITS, lambda _: None))
    if measured.errors or measured.success_count != count:
        raise KvorumError(
            f"Only {measured.success_count} of {count} requests succeeded before the measurement; "
            f"errors: {dict(measured.errors)}."
        )


class _Source:
    def __init__(self, operations: Iterator[Operation]) -> None:
        self._operations = operations

    def next(self) -> Operation | None:
        return next(self._operations, None)


def _value(name: str) -> bytes:
    return f"{name:x<100}".encode("ascii")


def _expect(system: System, name: str) -> Follow:
    def follow(body: bytes) -> bytes | None:
        if system.value_in(body) != _value(name):
            raise ProtocolError(f"{name} holds another value than was stored: {body[:200]!r}.")
        return None

    return follow

"""All that defines a bench run, as one value: it is repeated by running the same plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from kvorum.client.security import Security
from kvorum.model.address import Address
from kvorum.model.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A bench run; `value_size` in bytes. Raises ConfigError for too few connections."""

    servers: tuple[Address, ...]
    workload: str
    distribution: str
    keys: int
    value_size: int
    connections: int
    duration_s: float
    operations: int | None
    """Also ends the run, if it comes before `duration_s`."""
    processes: int
    timeout_s: float
    seed: int
    namespace: str | None = None
    prefix: str = "key"
    """What all keys begin with."""
    read_quorum: int | None = None
    write_quorum: int | None = None
    security: Security | None = field(default=None, repr=False)
    """How TLS is made and who asks. None: without TLS, nobody in particular."""

    def __post_init__(self) -> None:
        if self.connections < self.processes:
            raise ConfigError(
                f"{self.connections} connections are too few for {self.processes} processes. "
                "Give more --connections or fewer --processes."
            )

    def key(self, number: int) -> str:
        """The key with that number."""
        return f"{self.prefix}{number:08d}"

    def share(self, index: int) -> Share:
        """What process `index` has to do."""
        n = self.processes
        operations = None if self.operations is None else _part(self.operations, n, index)
        return Share(index, _part(self.connections, n, index), operations)

    def rng(self, purpose: str, index: int) -> Random:
        """Chance for one purpose in process `index`, the same in each run of this plan."""
        return Random(f"{self.seed}/{purpose}/{index}")


@dataclass(frozen=True, slots=True)
class Share:
    """What one process of a run does."""

    index: int
    connections: int
    operations: int | None


def _part(whole: int, parts: int, index: int) -> int:
    return whole // parts + (index < whole % parts)

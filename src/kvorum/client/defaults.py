"""What holds for the calls of a store that say nothing else."""

from __future__ import annotations

from typing import NamedTuple

from kvorum.client.conflicts import LATEST, OnConflict, checked_on_conflict
from kvorum.client.serializers import Serializer, Serializing, serializer_of
from kvorum.client.url import Target


class Defaults(NamedTuple):
    """What holds for the calls of a store that say nothing else. `namespace` None is the cluster's
    default one, `timeout` (seconds) None is no limit, `serializer` None is JSON."""

    namespace: str | None = None
    timeout: float | None = None
    on_conflict: OnConflict = LATEST
    serializer: Serializer | None = None

    def deciding(self, on_conflict: OnConflict | None) -> OnConflict:
        """What a read does about siblings, if it is given this. Raises ConfigError, WrongType."""
        return self.on_conflict if on_conflict is None else checked_on_conflict(on_conflict)

    def serializing(self, serializer: Serializing | None) -> Serializer | None:
        """What serializes, if a call is given this. Raises ConfigError, WrongType."""
        return self.serializer if serializer is None else serializer_of(serializer)


def defaults_of(target: Target) -> Defaults:
    """Those of a client of `target`. Raises ConfigError or WrongType."""
    return Defaults(
        target.namespace,
        target.timeout,
        checked_on_conflict(target.on_conflict),
        serializer_of(target.serializer),
    )

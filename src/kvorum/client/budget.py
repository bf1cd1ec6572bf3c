"""The options of calls that take several requests, and the time that these share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypedDict

from kvorum.client.options import check_timeout
from kvorum.model.topology import QuorumKind

_LEAST_S: Final = 0.001


class PageOptions(TypedDict, total=False):
    """What a listing in a cluster may say beside what it lists: `timeout`, seconds for a page."""

    timeout: float | None


class ReadOptions(TypedDict, total=False):
    """What a read in a cluster may say: `r`, the replicas that must answer; `quorum`, "strict" or
    "sloppy"; `timeout`, seconds for the whole call."""

    r: int | None
    quorum: QuorumKind | None
    timeout: float | None


class ChangeOptions(ReadOptions, total=False):
    """What a call that reads and writes may say; `w`: the replicas that must have stored it;
    `retry_unknown`: as in `set`."""

    w: int | None
    retry_unknown: bool | None


_READ: Final = frozenset({"r", "quorum"})
_WRITE: Final = frozenset({"w", "quorum", "retry_unknown"})


class Budget:
    """The time of a call of several requests, each of which may take what is left."""

    def __init__(
        self,
        options: ChangeOptions,
        default: float | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`default` is the timeout if `options` have none; None is no limit. Raises TypeError for
        an option that is none, and ConfigError."""
        if unknown := options.keys() - _READ - _WRITE - {"timeout"}:
            raise TypeError(f"There is no option {min(unknown)!r} of this call.")
        self._options = options
        self._now = now
        seconds = options.get("timeout")
        seconds = default if seconds is None else check_timeout(seconds)
        self._until = None if seconds is None else now() + seconds

    def read(self, **more: Any) -> dict[str, Any]:
        """The options of a read that begins now."""
        return self._some(_READ, more)

    def write(self, **more: Any) -> dict[str, Any]:
        """The options of a write that begins now."""
        return self._some(_WRITE, more)

    def lasts(self, seconds: float) -> bool:
        """True if more than `seconds` are left."""
        return self._until is None or self._now() + seconds < self._until

    def _some(self, names: frozenset[str], more: dict[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = {
            name: value for name, value in self._options.items() if name in names
        }
        if self._until is not None:
            options["timeout"] = max(_LEAST_S, self._until - self._now())
        return more | options

"""The documents of GET /health and GET /ready: what a supervisor and a load balancer ask."""

from __future__ import annotations

import msgspec


class Health(msgspec.Struct, frozen=True):
    """Whether the process works at all. If not `healthy`, it has to be started again."""

    healthy: bool
    reasons: list[str] = []


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests should be sent to the node now; if not `ready`, the reasons as sentences."""

    ready: bool
    reasons: list[str] = []

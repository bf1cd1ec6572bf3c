"""How many replicas have to answer where a call does not say so itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kvorum.client.requests import Request
from kvorum.model.topology import QuorumKind


@dataclass(frozen=True, slots=True)
class DefaultQuorum:
    """What a client asks for; None where that is as the namespace says."""

    r: int | None = None
    w: int | None = None
    kind: QuorumKind | None = None

    def of(self, request: Request) -> Request:
        """`request`, if it is one for a quorum, with what it does not say itself."""
        size = self.r if request.safe else self.w
        if not request.timed or (size is None and self.kind is None):
            return request
        wanted = ("r" if request.safe else "w", size), ("quorum", self.kind)
        said = {name for name, _ in request.query}
        added = tuple(
            (name, str(value)) for name, value in wanted if value is not None and name not in said
        )
        return replace(request, query=request.query + added)

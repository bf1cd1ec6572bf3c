"""A node's snapshots as the service sees them: they note what they were asked for."""

from __future__ import annotations

from typing import Any

from kvorum.model.errors import NotFound, PreconditionFailed


class FakeSnapshots:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    def begin_create(self, name: str | None, /) -> Any:
        if name == "taken":
            raise PreconditionFailed("wanted another name")
        return self._note("create", name)

    def begin_verify(self, name: str, /) -> Any:
        return self._note("verify", name)

    def begin_delete(self, name: str, /) -> Any:
        return self._note("delete", name)

    def progress(self, name: str, /) -> Any:
        if name == "unknown":
            raise NotFound("wanted another name")
        return self._note("progress", name)

    def list(self) -> Any:
        return {"snapshots": []}

    def _note(self, what: str, name: str | None) -> Any:
        self.asked.append((what, name))
        return {"task": what, "name": name}

"""A node's key_admin as the service sees it: it notes what it was asked for."""

from __future__ import annotations

from typing import Any

from kvorum.model.errors import NamespaceNotFound


class FakeKeyAdmin:
    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def keys(self) -> Any:
        return {"keys": []}

    def rotate(self, namespace: str | None, /) -> Any:
        if namespace == "away":
            raise NamespaceNotFound("wanted another namespace")
        self.asked.append(("rotate", namespace))
        return {"rotated": {}}

    def shred(self, namespace: str, before_ms: int | None, /) -> Any:
        self.asked.append(("shred", namespace, before_ms))
        return {"namespace": namespace}

    def status(self) -> Any:
        return {"scrub": {}}

    def scrub(self) -> Any:
        self.asked.append(("scrub",))
        return {"scrub": {}}

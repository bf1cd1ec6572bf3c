"""A node's namespaces as the API sees them: they note what they were asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvorum.documents.namespaces import NamespaceList
from kvorum.model.catalog import Catalog
from kvorum.model.errors import PreconditionFailed, RequestError, StorageError, UnavailableError
from kvorum.model.topology import NamespaceSettings


class FakeNamespaces:
    def __init__(self) -> None:
        settings = NamespaceSettings.majority(3)
        self.catalog = Catalog(namespaces=dict.fromkeys(("default", "orders", "shred"), settings))
        self.at_once = False
        """Whether what is dropped is gone for good when it is asked for."""
        self.asked: list[tuple[Any, ...]] = []
        self.dropped: list[Callable[[StorageError | None], object]] = []

    def document(self) -> NamespaceList:
        return NamespaceList(
            version=self.catalog.version,
            source=None,
            now_ms=1000,
            namespaces=dict(self.catalog.namespaces),
        )

    def put(self, name: str, fields: dict[str, Any], version: int | None, /) -> bool:
        self.check(name, fields, version)
        self.asked.append(("put", name, fields, version))
        is_made = name not in self.catalog.namespaces
        if is_made:
            self.catalog = self.catalog.creating(name, NamespaceSettings.majority(3), 3)
        return is_made

    def check(self, name: str, fields: dict[str, Any], version: int | None, /) -> None:
        if version not in (None, self.catalog.version):
            raise PreconditionFailed("another version")
        if name == "taken":
            raise UnavailableError("it is being deleted", retry_after=1)
        if "colour" in fields:
            raise RequestError("no such setting")

    def drop(
        self,
        name: str,
        before_ms: int | None,
        version: int | None,
        done: Callable[[StorageError | None], object],
        /,
    ) -> None:
        self.catalog = self.catalog.dropping(name)
        self.asked.append(("drop", name, before_ms, version))
        if self.at_once:
            done(None)
        else:
            self.dropped.append(done)

"""The documents of /namespaces: the namespaces of a node, and what became of one."""

from __future__ import annotations

import msgspec

from kvorum.model.topology import NamespaceSettings


class RemovedUntil(msgspec.Struct, frozen=True, kw_only=True):
    """A dropped namespace of which something is still being deleted, written up to `before_ms`."""

    before_ms: int


class NamespaceList(msgspec.Struct, frozen=True, kw_only=True):
    """The namespaces of a node. `version`: of the list, which each change raises.

    `source`: the cluster file that declares them; None where the node keeps them itself.
    `removals`: dropped ones of which something is still being deleted. `dropped`: by the name of
    each that was ever dropped or shredded, up to when what was written to it is gone (ms).
    """

    version: int
    source: str | None
    now_ms: int
    namespaces: dict[str, NamespaceSettings]
    removals: dict[str, RemovedUntil] = {}
    dropped: dict[str, int] = {}


class NamespaceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one namespace, as of a version of the list."""

    namespace: str
    version: int
    settings: NamespaceSettings


class DroppedNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace that was ended, and the version of the list without it."""

    namespace: str
    version: int


class PossibleNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace that could be made or altered as was asked."""

    namespace: str
    possible: bool = True

"""A catalog: the namespaces of a cluster and their settings, as one value with a version.

It is versioned apart from the topology, because namespaces are made, altered and dropped while
nodes run. Nodes need not agree on it to talk with each other: a node that does not know a namespace
refuses requests to that, and no others.

What may be altered is what moves no data between nodes or stores: see `check_alteration`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from kvorum.model.errors import ConfigError, NamespaceNotFound, RequestError
from kvorum.model.topology import DEFAULT_NAMESPACE, NamespaceSettings, Topology, check_namespace

FIXED: Final = ("replicas", "encryption", "hash_tags")
"""Settings that a namespace keeps for as long as it exists, in this version."""

_NAMED_MAX: Final = 10
_CLOCKS_APART_MS: Final = 60_000


class Difference(NamedTuple):
    """The names of the namespaces by which two catalogs differ, each in sorted order."""

    created: tuple[str, ...]
    altered: tuple[str, ...]
    dropped: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.created or self.altered or self.dropped)


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """The namespaces of a cluster by name. `version`: 1, then 2, ... with each change."""

    version: int = 1
    namespaces: Mapping[str, NamespaceSettings]

    @classmethod
    def declared(cls, topology: Topology) -> Catalog:
        """The namespaces that the file of `topology` declares."""
        return cls(namespaces=topology.namespaces)

    def settings(self, name: str) -> NamespaceSettings:
        """The settings of the namespace `name`. Raises NamespaceNotFound."""
        settings = self.namespaces.get(name)
        if settings is None:
            raise no_such_namespace(name, self.namespaces)
        return settings

    def creating(self, name: str, settings: NamespaceSettings, nodes: int) -> Catalog:
        """The next catalog: this one and the namespace `name`, in a cluster of so many `nodes`.

        Raises ConfigError if it cannot be, or if there is one of that name.
        """
        if name in self.namespaces:
            raise ConfigError(f"A namespace named {name!r} exists already.")
        check_namespace(name, settings, nodes)
        return self._next({**self.namespaces, name: settings})

    def altering(self, name: str, settings: NamespaceSettings, nodes: int) -> Catalog:
        """The next catalog: this one with other settings of the namespace `name`.

        Raises NamespaceNotFound, or ConfigError if they cannot be.
        """
        check_alteration(name, self.settings(name), settings)
        check_namespace(name, settings, nodes)
        return self._next({**self.namespaces, name: settings})

    def dropping(self, name: str) -> Catalog:
        """The next catalog: this one without the namespace `name`.

        Raises NamespaceNotFound, or ConfigError for the one that every cluster has.
        """
        self.settings(name)
        if name == DEFAULT_NAMESPACE:
            raise ConfigError(
                f"The namespace {name!r} cannot be dropped: requests that name none go there. "
                "Delete its entries instead."
            )
        return self._next({other: s for other, s in self.namespaces.items() if other != name})

    def _next(self, namespaces: Mapping[str, NamespaceSettings]) -> Catalog:
        return Catalog(version=self.version + 1, namespaces=namespaces)


def no_such_namespace(name: str, there: Iterable[str]) -> NamespaceNotFound:
    """The error for a namespace that does not exist; `there`: the names of those that do."""
    names = sorted(there)
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    named = ", ".join(repr(one) for one in names[:_NAMED_MAX])
    return NamespaceNotFound(
        f"No such namespace: {name!r}. There {'is' if len(names) == 1 else 'are'} {named}{more}.",
        advice=f"Make it with 'kvorum namespace create {name}', or declare it in the cluster file "
        "if the nodes run with one.",
    )


def difference(old: Catalog, new: Catalog) -> Difference:
    """The namespaces by which `new` differs from `old`."""
    before, after = old.namespaces, new.namespaces
    return Difference(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(name for name in before.keys() & after.keys() if before[name] != after[name])),
        tuple(sorted(before.keys() - after.keys())),
    )


def passed_moment(before_ms: int | None, now_ms: int) -> int:
    """The time (ms) up to which a drop or shred is to destroy writes: `before_ms`, or now if it is
    None. Raises RequestError if it lies in the future by more than clocks may differ.
    """
    if before_ms is None:
        return now_ms
    if before_ms <= 0:
        raise RequestError(
            f"The time {before_ms} ms is none: give milliseconds since 1970, more than 0."
        )
    if before_ms > now_ms + _CLOCKS_APART_MS:
        raise RequestError(
            f"The time {before_ms} ms has not passed yet: it is {now_ms} ms by this node's clock. "
            "Set the clocks of the nodes."
        )
    return before_ms


def check_alteration(name: str, old: NamespaceSettings, new: NamespaceSettings) -> None:
    """Raises ConfigError if a namespace with data cannot go from `old` to `new` settings."""
    for field in FIXED:
        if getattr(old, field) != getattr(new, field):
            raise ConfigError(
                f"The setting {field!r} of namespace {name!r} stays {getattr(old, field)!r} for "
                "as long as the namespace exists. Make another one and copy the entries."
            )
    if (old.durability == "none") != (new.durability == "none"):
        raise ConfigError(
            f"Namespace {name!r} cannot go from durability {old.durability!r} to "
            f"{new.durability!r}: what is kept in memory is not on the disk. Make another one and "
            "copy the entries."
        )

"""Rights: what the grants of a principal come to, action by action.

Each action needs one permission, but for a few that everybody who is authenticated may do, or
anybody at all. A grant gives permissions in all namespaces or in one, for all keys or for those
with a prefix. So the rights of a principal say of each action

    everywhere    that it is allowed, whatever it concerns
    within        in which namespace (None: in all) on keys with which prefixes it is allowed

What concerns all keys of a namespace, or all namespaces, is allowed to those who may do it to all
of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from kvorum.model.permissions import Permission, Role
from kvorum.service.action import Action

PERMISSION_OF: Final[Mapping[Action, Permission]] = {
    Action.READ: Permission.READ,
    Action.LOCATE: Permission.READ,
    Action.WRITE: Permission.WRITE,
    Action.DELETE: Permission.DELETE,
    Action.SCAN: Permission.LIST,
    Action.EXPORT_RECORDS: Permission.ADMIN_BACKUP,
    Action.IMPORT_RECORDS: Permission.ADMIN_BACKUP,
    Action.CREATE_SNAPSHOT: Permission.ADMIN_BACKUP,
    Action.VERIFY_SNAPSHOT: Permission.ADMIN_BACKUP,
    Action.DELETE_SNAPSHOT: Permission.ADMIN_BACKUP,
    Action.SEE_SNAPSHOTS: Permission.STATUS,
    Action.SEE_STATUS: Permission.STATUS,
    Action.SEE_METRICS: Permission.STATUS,
    Action.SEE_REPAIRS: Permission.STATUS,
    Action.SEE_SCRUB: Permission.STATUS,
    Action.ACCEPT_CLOCK: Permission.ADMIN_TOPOLOGY,
    Action.REPAIR: Permission.ADMIN_TOPOLOGY,
    Action.SCRUB: Permission.ADMIN_TOPOLOGY,
    Action.SET_NAMESPACE: Permission.ADMIN_TOPOLOGY,
    Action.DROP_NAMESPACE: Permission.ADMIN_TOPOLOGY,
    Action.SEE_KEYS: Permission.ADMIN_KEYS,
    Action.ROTATE_KEYS: Permission.ADMIN_KEYS,
    Action.SHRED_NAMESPACE: Permission.ADMIN_KEYS,
    Action.SEE_SECURITY: Permission.ADMIN_SECURITY,
    Action.CHANGE_SECURITY: Permission.ADMIN_SECURITY,
}
"""The permission that an action needs."""

FOR_AUTHENTICATED: Final = frozenset({Action.SEE_RING, Action.SEE_NAMESPACES, Action.SEE_SELF})
"""What everybody may do of whom the node knows who he is."""

FOR_ANYBODY: Final = frozenset({Action.SEE_HEALTH})
"""What needs no authentication: probes of load balancers and orchestrators have none."""

Reach = Mapping[str | None, tuple[str, ...]]
"""Namespace (None for all of them) to the prefixes of keys; "" is that of all keys."""


class Rights:
    """What a principal may do. Never changes."""

    __slots__ = ("_within", "everywhere")

    def __init__(
        self, everywhere: frozenset[Action], within: Mapping[Action, Reach] | None = None
    ) -> None:
        self.everywhere: Final = everywhere
        self._within: Final = within or {}

    def cover(self, action: Action, namespace: str | None, key: str | None) -> bool:
        """True if the action may be done there. `key`: or the prefix of keys; None for all."""
        if action in self.everywhere:
            return True
        reach = self._within.get(action)
        return reach is not None and (
            _begins(reach.get(None), key)
            or (namespace is not None and _begins(reach.get(namespace), key))
        )


def _begins(prefixes: tuple[str, ...] | None, key: str | None) -> bool:
    return prefixes is not None and (key or "").startswith(prefixes)


NONE: Final = Rights(FOR_ANYBODY)
"""Of whoever has not been identified."""

ALL: Final = Rights(frozenset(Action))


def rights_of(roles: Iterable[Role]) -> Rights:
    """What somebody may do to whom `roles` are granted, narrowed as the grants say."""
    reaches: dict[Permission, dict[str | None, set[str]]] = defaultdict(lambda: defaultdict(set))
    for role in roles:
        for permission in role.permissions:
            reaches[permission][role.namespace].add(role.prefix)
    everywhere = FOR_ANYBODY | FOR_AUTHENTICATED
    within: dict[Action, Reach] = {}
    for action, permission in PERMISSION_OF.items():
        reach = reaches.get(permission)
        if reach is None:
            continue
        if "" in reach.get(None, ()):
            everywhere |= {action}
        else:
            within[action] = {space: tuple(sorted(prefixes)) for space, prefixes in reach.items()}
    return Rights(everywhere, within)

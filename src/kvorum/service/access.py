"""Access control: whether a principal may do something.

The policy has to allow it: an action that it does not name is refused (deny by default).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

from kvorum.model.errors import AccessDenied
from kvorum.service.action import Action
from kvorum.service.principal import Principal


class Policy(Protocol):
    """Who may do what."""

    def allows(
        self, principal: Principal, action: Action, namespace: str | None, key: str | None, /
    ) -> bool:
        """`namespace` and `key` are None where an action concerns none, or all of them."""


class SamePolicy:
    """A policy that allows the same `actions` to everybody, and no others."""

    def __init__(self, actions: Collection[Action]) -> None:
        self._actions = frozenset(actions)

    def allows(
        self, _principal: Principal, action: Action, _namespace: str | None, _key: str | None, /
    ) -> bool:
        return action in self._actions


OPEN: Final = SamePolicy(
    {
        Action.READ,
        Action.WRITE,
        Action.DELETE,
        Action.LOCATE,
        Action.IMPORT_RECORDS,
        Action.SCAN,
        Action.EXPORT_RECORDS,
        Action.SEE_STATUS,
        Action.SEE_METRICS,
        Action.SEE_HEALTH,
        Action.SEE_RING,
        Action.ACCEPT_CLOCK,
        Action.SEE_REPAIRS,
        Action.REPAIR,
        Action.SEE_SNAPSHOTS,
        Action.CREATE_SNAPSHOT,
        Action.VERIFY_SNAPSHOT,
        Action.DELETE_SNAPSHOT,
        Action.SEE_KEYS,
        Action.ROTATE_KEYS,
        Action.SEE_NAMESPACES,
        Action.SET_NAMESPACE,
        Action.DROP_NAMESPACE,
        Action.SHRED_NAMESPACE,
        Action.SEE_SCRUB,
        Action.SCRUB,
    }
)
"""For a node that serves whoever reaches it: all that is listed here."""


class AccessControl:
    """Asks the policy, and refuses what it does not allow."""

    def __init__(self, policy: Policy) -> None:
        self.allows = policy.allows

    def check(
        self,
        principal: Principal,
        action: Action,
        namespace: str | None = None,
        key: str | None = None,
    ) -> None:
        """Raises AccessDenied."""
        if not self.allows(principal, action, namespace, key):
            raise denied(principal, action, namespace)


def denied(principal: Principal, action: Action, namespace: str | None) -> AccessDenied:
    """The refusal of `action`."""
    where = "" if namespace is None else f" in the namespace {namespace!r}"
    error = AccessDenied(
        f"{principal.name} has no permission for {action}{where}.", action=action.value
    )
    if namespace is not None:
        error.details["namespace"] = namespace
    return error

"""Access control: whether a principal may do something.

The policy has to allow it: an action that it does not name is refused (deny by default).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, Protocol

from kvorum.model.errors import AccessDenied, RequestError, Unauthenticated
from kvorum.service.action import Action
from kvorum.service.audit import UNAUDITED, Audit, AuditedAction, Auditor
from kvorum.service.principal import Principal
from kvorum.service.rights import PERMISSION_OF

_SHOWN_CHARS: Final = 80


class Policy(Protocol):
    """Who may do what."""

    def allows(
        self, principal: Principal, action: Action, namespace: str | None, key: str | None, /
    ) -> bool:
        """`namespace` and `key` are None where an action concerns none, or all of them. Of an
        action that concerns all keys with a prefix, `key` is the prefix.
        """


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
        Action.SEE_SELF,
        Action.SEE_SECURITY,
        Action.CHANGE_SECURITY,
    }
)
"""For a node that serves whoever reaches it: all that is listed here."""


class GrantPolicy:
    """The policy of a secure cluster: a principal may do what its rights cover (`rights.py`)."""

    def allows(
        self, principal: Principal, action: Action, namespace: str | None, key: str | None, /
    ) -> bool:
        rights = principal.rights
        return action in rights.everywhere or rights.cover(action, namespace, key)


class AccessControl:
    """Asks the policy, and refuses what it does not allow."""

    def __init__(self, policy: Policy, auditor: Auditor = UNAUDITED) -> None:
        """`auditor` is told of every refusal, and what comes of the actions of its level."""
        self.allows = policy.allows
        self.audit = Audit(auditor)

    def check(
        self,
        principal: Principal,
        action: Action,
        namespace: str | None = None,
        key: str | None = None,
    ) -> None:
        """Raises AccessDenied, or Unauthenticated if it is not known who the principal is."""
        if not self.allows(principal, action, namespace, key):
            raise self.denied(principal, action, namespace, key)

    def check_prefix(
        self, principal: Principal, action: Action, namespace: str, prefix: str
    ) -> None:
        """The same as `check` for all keys that begin with `prefix`."""
        if not self.allows(principal, action, namespace, prefix):
            raise self.denied(principal, action, namespace, prefix, given="prefix")

    def enter(
        self,
        principal: Principal,
        action: Action,
        namespace: str | None = None,
        key: str | None = None,
        subject: str | None = None,
    ) -> AuditedAction:
        """The context in which `action` is carried out. `subject`: what it is about, if that is
        no key of an entry. Raises AccessDenied.
        """
        if not self.allows(principal, action, namespace, key):
            raise self.denied(principal, action, namespace, key, subject)
        return self.audit.action(principal, action, namespace, key, subject)

    def denied(
        self,
        principal: Principal,
        action: Action,
        namespace: str | None,
        key: str | None,
        subject: str | None = None,
        given: Literal["key", "prefix"] = "key",
    ) -> RequestError:
        """The refusal of `action`, of which the auditor is told. `given`: whether `key` is one, or
        the beginning of some.
        """
        error = denied(principal, action, namespace, key, given)
        self.audit.refused(principal, action, namespace, key, error, subject)
        return error


def denied(
    principal: Principal,
    action: Action,
    namespace: str | None,
    key: str | None,
    given: Literal["key", "prefix"] = "key",
) -> RequestError:
    """The refusal of `action`. `given`: whether `key` is one, or the beginning of some."""
    if not principal.valid:
        return unidentified(principal)
    permission = str(PERMISSION_OF.get(action, action))
    where = "" if namespace is None else f" in the namespace {namespace!r}"
    if key:
        what = "the key" if given == "key" else "keys that begin with"
        where = f" for {what} {key[:_SHOWN_CHARS]!r}{where}"
    error = AccessDenied(
        f"{principal} has no permission {permission!r}{where}.",
        action=action.value,
        permission=permission,
    )
    if namespace is not None:
        error.details["namespace"] = namespace
    if key is not None:
        error.details[given] = key
    return error


def unidentified(principal: Principal) -> Unauthenticated:
    """The refusal of whatever a principal asks for that is not valid."""
    if principal.kind == "anonymous":
        return Unauthenticated("This node wants to know who asks, and the request does not say it.")
    return Unauthenticated(
        f"{principal} was removed or changed, or has expired, since the request came."
    )

"""Audit: what the door tells an audit log of, and when.

    refused         told at once, whatever the action (`AccessControl`)
    carried out     told when it has ended, with "ok" or the code of the error, if the action
                    belongs to the level of the log (`LEVEL_OF`)

What is told are names: of the principal, the action, the namespace, the key; never a value, a token
or a password. Where nothing is to be told, nothing runs for it: the level is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, TypeVar

from kvorum.model.audit_level import AuditLevel
from kvorum.model.errors import KvorumError
from kvorum.model.request import Failure
from kvorum.service.action import Action
from kvorum.service.latencies import INTERNAL, Timing
from kvorum.service.principal import Principal

OK: Final = "ok"

LEVEL_OF: Final[dict[Action, AuditLevel]] = {
    Action.READ: AuditLevel.ALL,
    Action.WRITE: AuditLevel.WRITES,
    Action.DELETE: AuditLevel.WRITES,
    Action.LOCATE: AuditLevel.ALL,
    Action.IMPORT_RECORDS: AuditLevel.WRITES,
    Action.SCAN: AuditLevel.ALL,
    Action.EXPORT_RECORDS: AuditLevel.ADMIN,
    Action.SEE_STATUS: AuditLevel.ALL,
    Action.SEE_METRICS: AuditLevel.ALL,
    Action.SEE_HEALTH: AuditLevel.ALL,
    Action.SEE_RING: AuditLevel.ALL,
    Action.ACCEPT_CLOCK: AuditLevel.ADMIN,
    Action.SEE_REPAIRS: AuditLevel.ALL,
    Action.REPAIR: AuditLevel.ADMIN,
    Action.SEE_SNAPSHOTS: AuditLevel.ALL,
    Action.CREATE_SNAPSHOT: AuditLevel.ADMIN,
    Action.VERIFY_SNAPSHOT: AuditLevel.ADMIN,
    Action.DELETE_SNAPSHOT: AuditLevel.ADMIN,
    Action.SEE_KEYS: AuditLevel.ALL,
    Action.ROTATE_KEYS: AuditLevel.ADMIN,
    Action.SEE_NAMESPACES: AuditLevel.ALL,
    Action.SET_NAMESPACE: AuditLevel.ADMIN,
    Action.DROP_NAMESPACE: AuditLevel.ADMIN,
    Action.SHRED_NAMESPACE: AuditLevel.ADMIN,
    Action.SEE_SCRUB: AuditLevel.ALL,
    Action.SCRUB: AuditLevel.ADMIN,
    Action.SEE_SELF: AuditLevel.ALL,
    Action.SEE_SECURITY: AuditLevel.ALL,
    Action.CHANGE_SECURITY: AuditLevel.ADMIN,
}
"""From which level on what came of an action is told; refusals are told from ADMIN on."""

_REFUSED: Final = {"access_denied", "unauthenticated"}
"""The codes of what the policy does not allow, which is told when it is refused."""

_T = TypeVar("_T")


class Auditor(Protocol):
    """An audit log. None of its calls blocks or raises."""

    level: AuditLevel

    def note(
        self,
        principal: Principal,
        action: str,
        namespace: str | None,
        key: str | None,
        outcome: str,
        subject: str | None = None,
    ) -> None:
        """`principal` has asked for `action`, and `outcome` came of it: "ok", or the code of the
        error. `key`: of an action on all keys with a prefix, the prefix. `subject`: what it is
        about, if that is no key of an entry.
        """

    def refused_login(self, source: str, name: str, reason: str) -> None:
        """Somebody at the address `source` could not prove to be `name`, which is "" if none was
        given. `reason`: the code of the error.
        """


class NoAuditor:
    """Keeps nothing. It has written nothing and dropped nothing, and nothing of it has failed."""

    level: AuditLevel = AuditLevel.OFF
    written = 0
    dropped = 0
    failure: OSError | None = None

    def note(
        self,
        principal: Principal,
        action: str,
        namespace: str | None,
        key: str | None,
        outcome: str,
        subject: str | None = None,
    ) -> None: ...

    def refused_login(self, source: str, name: str, reason: str) -> None: ...


UNAUDITED: Final = NoAuditor()


class AuditedAction:
    """An action that is being carried out, as the context in which that happens. When it ends, this
    is told, once: at the end of the context, unless `later` or `timing` says that it goes on.
    """

    __slots__ = ("_ended", "_goes_on", "_tell")

    def __init__(self, tell: Callable[[str], object]) -> None:
        """`tell` takes "ok" or the code of an error."""
        self._tell = tell
        self._goes_on = False
        self._ended = False

    def __enter__(self) -> AuditedAction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            code = error.code if isinstance(error, KvorumError) else INTERNAL
            if code not in _REFUSED:
                self.end(code)
        elif not self._goes_on:
            self.end(OK)

    def end(self, outcome: str) -> None:
        """It has ended, with "ok" or the code of an error."""
        if not self._ended:
            self._ended = True
            self._tell(outcome)

    def later(
        self,
        hear: Callable[[_T], object],
        outcome_of: Callable[[_T], str] | None = None,
    ) -> Callable[[_T], object]:
        """`hear`, which will be called with the result: a KvorumError or a Failure is told by its
        code, all else as "ok", if not by `outcome_of`.
        """
        self._goes_on = True
        end, outcome = self.end, outcome_of or _outcome_of

        def heard(result: _T) -> None:
            end(outcome(result))
            hear(result)

        return heard

    def timing(self, timing: Timing) -> Timing:
        """What takes the place of `timing`, which will be told of the end of the action."""
        self._goes_on = True
        return _AuditedTiming(timing, self.end)


class _UntoldAction(AuditedAction):
    """One that does not belong to the level. It is the same object for all of them."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_nobody)

    def __exit__(self, *_error: object) -> None: ...

    def later(
        self,
        hear: Callable[[_T], object],
        outcome_of: Callable[[_T], str] | None = None,
    ) -> Callable[[_T], object]:
        return hear

    def timing(self, timing: Timing) -> Timing:
        return timing


class _AuditedTiming:
    __slots__ = ("_tell", "_timing")

    def __init__(self, timing: Timing, tell: Callable[[str], object]) -> None:
        self._timing = timing
        self._tell = tell

    def took(self, seconds: float, /) -> None:
        self._tell(OK)
        self._timing.took(seconds)

    def failed_with(self, code: str, seconds: float, /) -> None:
        self._tell(code)
        self._timing.failed_with(code, seconds)


class Audit:
    """Tells an auditor what belongs to its level. `told`: the actions that do."""

    def __init__(self, auditor: Auditor) -> None:
        level = auditor.level
        self.told = frozenset(a for a in Action if level.covers(LEVEL_OF[a]) and level.is_on)
        self._note = auditor.note
        self._tells_refusals = level.is_on

    def refused(
        self,
        principal: Principal,
        action: Action,
        namespace: str | None,
        key: str | None,
        error: KvorumError,
        subject: str | None = None,
    ) -> None:
        """The policy has not allowed `action`."""
        if self._tells_refusals:
            self._note(principal, action, namespace, key, error.code, subject)

    def action(
        self,
        principal: Principal,
        action: Action,
        namespace: str | None = None,
        key: str | None = None,
        subject: str | None = None,
    ) -> AuditedAction:
        """The context in which `action` is carried out, which was allowed."""
        if action not in self.told:
            return _UNTOLD

        def tell(outcome: str) -> None:
            self._note(principal, action, namespace, key, outcome, subject)

        return AuditedAction(tell)


def _outcome_of(result: object) -> str:
    return result.code if isinstance(result, KvorumError | Failure) else OK


def _nobody(_outcome: str) -> None: ...


_UNTOLD: Final = _UntoldAction()

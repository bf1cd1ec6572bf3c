"""Every error a user of kvorum can meet, as one tree.

    KvorumError                      carries: code, outcome, details
    ├── RequestError                 the request itself is wrong; nothing changed
    │   ├── InvalidKey
    │   ├── InvalidValue
    │   ├── InvalidVersion           a valueVersion that is forged, damaged, or of another key
    │   ├── NamespaceNotFound
    │   ├── NotFound                 the key holds no live version
    │   ├── PreconditionFailed       If-Match / If-None-Match did not hold
    │   ├── TooManySiblings          the key has more concurrent versions than are kept
    │   ├── Unauthenticated          the node does not know who asks
    │   ├── TooManyAttempts          too many wrong passwords: retry after `retry_after` s
    │   └── AccessDenied             whoever asks lacks the permission
    ├── UnavailableError             the cluster cannot serve it now
    │   ├── QuorumError              too few replicas answered (needed, got, replicas)
    │   ├── TimeoutExpired           the deadline passed first
    │   ├── ClockWrong               the node's clock is no good to say when something expires
    │   ├── Overloaded               a bounded queue is full: retry after `retry_after` s
    │   ├── TooManyRequests          more than whoever asks may: retry after `retry_after` s
    │   └── ConnectionFailed         no server could be reached
    ├── StorageError                 the disk or the engine refused
    │   ├── CorruptRecord            a checksum did not match
    │   ├── UnknownWrite             a record lists a write of this node that it has not made
    │   └── DiskFull                 no room for new data; reads and deletes go on
    ├── ConfigError                  a file, option or directory is wrong
    └── ProtocolError                a node or server broke the protocol

`outcome` says what is known of the request's effect, because "it failed" and "I do not
know" call for different actions by the caller:

    "none"     nothing was changed; repeating is always safe
    "unknown"  it may have been carried out, now or later
"""

from __future__ import annotations

from typing import Any, Literal

Outcome = Literal["none", "unknown"]


class KvorumError(Exception):
    """Base of all kvorum errors. `code` is stable, for programs; `message` is for people."""

    code = "error"

    def __init__(self, message: str, *, outcome: Outcome = "none", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.outcome: Outcome = outcome
        self.details = details

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self.message!r}, code={self.code!r}, outcome={self.outcome!r})"


class RequestError(KvorumError):
    """The request itself is wrong; nothing was changed."""

    code = "bad_request"


class InvalidKey(RequestError):
    """The key is empty, too long, or no text."""

    code = "invalid_key"


class InvalidValue(RequestError):
    """The value, or the record that is imported, cannot be stored."""

    code = "invalid_value"


class InvalidVersion(RequestError):
    """The valueVersion is forged, damaged, or of another key."""

    code = "invalid_version"


class NamespaceNotFound(RequestError):
    """There is no namespace of that name."""

    code = "namespace_not_found"


class NotFound(RequestError):
    """The key holds no live version. `details` holds strict and hints where nodes stood in."""

    code = "not_found"

    @property
    def strict(self) -> bool:
        """False if nodes that stand in for owners of the key were counted."""
        return bool(self.details.get("strict", True))

    @property
    def hints(self) -> int:
        """How many such nodes were counted."""
        return int(self.details.get("hints", 0))


class PreconditionFailed(RequestError):
    """The key is not in the state that the request expects."""

    code = "precondition_failed"


class TooManySiblings(RequestError):
    """`details` holds siblings (int): how many versions there are beside the one refused."""

    code = "too_many_siblings"


class Unauthenticated(RequestError):
    """The node does not know who asks: nothing is shown of that, or nothing that counts."""

    code = "unauthenticated"


class TooManyAttempts(RequestError):
    """Too many wrong passwords or tokens. `details` holds retry_after (s)."""

    code = "too_many_attempts"


class AccessDenied(RequestError):
    """The principal lacks the permission. `details` holds action and permission (str), and
    namespace and key or prefix if it has them.
    """

    code = "access_denied"


class UnavailableError(KvorumError):
    """The cluster cannot serve the request now."""

    code = "unavailable"


class NodeStopping(UnavailableError):
    """The node is about to stop, and has done nothing. Another one, or its next life, will."""

    code = "node_stopping"


class QuorumError(UnavailableError):
    """Too few replicas: `details` holds needed (int), got (int) and replicas (list of names)."""

    code = "quorum_not_met"

    @property
    def needed(self) -> int:
        """How many replicas were needed."""
        return int(self.details.get("needed", 0))

    @property
    def got(self) -> int:
        """How many were up, or had answered."""
        return int(self.details.get("got", 0))

    @property
    def replicas(self) -> list[str]:
        """The names of the owners of the key."""
        return list(self.details.get("replicas", []))


class TimeoutExpired(UnavailableError):
    """The deadline passed first."""

    code = "timeout"


class ClockWrong(UnavailableError):
    """The node's clock is no good to say when something expires."""

    code = "clock_wrong"


class Overloaded(UnavailableError):
    """A bounded queue is full. `details` holds retry_after (s)."""

    code = "overloaded"


class TooManyRequests(UnavailableError):
    """More than the principal may ask of a node. `details` holds retry_after (s)."""

    code = "too_many_requests"


class ConnectionFailed(UnavailableError):
    """No server could be reached, or the one that was asked went away."""

    code = "connection_failed"


class StorageError(KvorumError):
    """The disk or the engine refused."""

    code = "storage_failed"


class CorruptRecord(StorageError):
    """A record is damaged, or was, and has not been compared with other replicas since."""

    code = "corrupt_record"


class UnknownWrite(StorageError):
    """A record lists a write of this node that it has not made."""

    code = "unknown_write"


class DiskFull(StorageError):
    """There is no room for new data; reads and deletes go on."""

    code = "disk_full"


class ConfigError(KvorumError):
    """A file, an option or a directory is wrong."""

    code = "config"


class ProtocolError(KvorumError):
    """A node or a server broke the protocol."""

    code = "protocol"


def _tree(root: type[KvorumError]) -> dict[str, type[KvorumError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


BY_CODE: dict[str, type[KvorumError]] = _tree(KvorumError)
"""Code to class, so that an error keeps its type across a link or an HTTP answer."""


def from_code(code: str, message: str, outcome: Outcome, details: dict[str, Any]) -> KvorumError:
    """The error that travelled as (code, message, outcome, details); unknown codes stay generic."""
    error = BY_CODE.get(code, KvorumError)(message, outcome=outcome, **details)
    if error.code != code:
        error.code = code
    return error

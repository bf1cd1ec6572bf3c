"""Every error a user of kvorum can meet, as one tree.

    KvorumError                      carries: code, outcome, details
    ├── RequestError                 the request itself is wrong; nothing changed
    │   ├── InvalidKey
    │   ├── InvalidValue
    │   ├── InvalidVersion           a valueVersion that is forged, damaged, or of another key
    │   ├── NamespaceNotFound
    │   ├── NotFound                 the key holds no live version
    │   ├── PreconditionFailed       If-Match / If-None-Match did not hold
    │   └── TooManySiblings          the key has more concurrent versions than are kept
    ├── UnavailableError             the cluster cannot serve it now
    │   ├── QuorumError              too few replicas answered (needed, got, replicas)
    │   ├── TimeoutExpired           the deadline passed first
    │   ├── ClockWrong               the node's clock is no good to say when something expires
    │   ├── Overloaded               a bounded queue is full: retry after `retry_after` s
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
    """Base of all kvorum errors. `code` is stable and machine-readable, `message` a sentence for
    people.
    """

    code = "error"

    def __init__(self, message: str, *, outcome: Outcome = "none", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.outcome: Outcome = outcome
        self.details = details


class RequestError(KvorumError):
    code = "bad_request"


class InvalidKey(RequestError):
    code = "invalid_key"


class InvalidValue(RequestError):
    code = "invalid_value"


class InvalidVersion(RequestError):
    code = "invalid_version"


class NamespaceNotFound(RequestError):
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
    code = "precondition_failed"


class TooManySiblings(RequestError):
    """`details` holds siblings (int): how many versions there are beside the one refused."""

    code = "too_many_siblings"


class UnavailableError(KvorumError):
    code = "unavailable"


class QuorumError(UnavailableError):
    """Too few replicas: `details` holds needed (int), got (int) and replicas (list of names)."""

    code = "quorum_not_met"

    @property
    def needed(self) -> int:
        return int(self.details.get("needed", 0))

    @property
    def got(self) -> int:
        return int(self.details.get("got", 0))

    @property
    def replicas(self) -> list[str]:
        return list(self.details.get("replicas", []))


class TimeoutExpired(UnavailableError):
    code = "timeout"


class ClockWrong(UnavailableError):
    code = "clock_wrong"


class Overloaded(UnavailableError):
    code = "overloaded"


class ConnectionFailed(UnavailableError):
    code = "connection_failed"


class StorageError(KvorumError):
    code = "storage_failed"


class CorruptRecord(StorageError):
    code = "corrupt_record"


class UnknownWrite(StorageError):
    code = "unknown_write"


class DiskFull(StorageError):
    code = "disk_full"


class ConfigError(KvorumError):
    code = "config"


class ProtocolError(KvorumError):
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

"""Every error that a user of kvorum can meet: `from kvorum.errors import NotFound`.

KvorumError                      carries: code, outcome, details
├── RequestError                 the request itself is wrong; nothing changed
│   ├── InvalidKey
│   ├── InvalidValue
│   ├── InvalidVersion           a version that is forged, damaged, or of another key
│   ├── NamespaceNotFound
│   ├── NotFound                 the key holds no live version
│   ├── PreconditionFailed       the entry was not as the request said it must be
│   ├── SiblingsFound            the key holds concurrent values, and on_conflict says "raise"
│   ├── TooManySiblings          the key has more concurrent versions than are kept
│   ├── Unauthenticated          the server does not know who asks
│   ├── TooManyAttempts          too many wrong passwords: retry later
│   ├── AccessDenied             whoever asks lacks the permission
│   └── WrongType                an argument of another type; a TypeError as well
├── UnavailableError             the cluster cannot serve it now
│   ├── QuorumError              too few replicas answered
│   ├── TimeoutExpired           the deadline passed first
│   ├── Overloaded               a bounded queue is full: retry later
│   ├── TooManyRequests          more than whoever asks may: retry later
│   ├── NodeStopping             the node that was asked stops; another one, or its next life, will
│   ├── ClockWrong               no owner has a clock by which it may give a lifetime
│   └── ConnectionFailed         no server could be reached
│       └── TlsError             a server's certificate is not trusted, or only one side speaks TLS
├── StorageError                 the disk or the engine refused
│   ├── CorruptRecord            a checksum did not match
│   ├── DiskFull                 no room for new data; reads and deletes go on
│   └── UnknownWrite             a record lists writes of a node that it never made
├── ConfigError                  a file, option or directory is wrong
└── ProtocolError                a server spoke out of turn
"""

from kvorum.client.conflicts import SiblingsFound
from kvorum.client.handshake import TlsError
from kvorum.client.lifetime import WrongType
from kvorum.model.errors import (
    AccessDenied,
    ClockWrong,
    ConfigError,
    ConnectionFailed,
    CorruptRecord,
    DiskFull,
    InvalidKey,
    InvalidValue,
    InvalidVersion,
    KvorumError,
    NamespaceNotFound,
    NodeStopping,
    NotFound,
    Overloaded,
    PreconditionFailed,
    ProtocolError,
    QuorumError,
    RequestError,
    StorageError,
    TimeoutExpired,
    TooManyAttempts,
    TooManyRequests,
    TooManySiblings,
    Unauthenticated,
    UnavailableError,
    UnknownWrite,
)

__all__ = [
    "AccessDenied",
    "ClockWrong",
    "ConfigError",
    "ConnectionFailed",
    "CorruptRecord",
    "DiskFull",
    "InvalidKey",
    "InvalidValue",
    "InvalidVersion",
    "KvorumError",
    "NamespaceNotFound",
    "NodeStopping",
    "NotFound",
    "Overloaded",
    "PreconditionFailed",
    "ProtocolError",
    "QuorumError",
    "RequestError",
    "SiblingsFound",
    "StorageError",
    "TimeoutExpired",
    "TlsError",
    "TooManyAttempts",
    "TooManyRequests",
    "TooManySiblings",
    "Unauthenticated",
    "UnavailableError",
    "UnknownWrite",
    "WrongType",
]

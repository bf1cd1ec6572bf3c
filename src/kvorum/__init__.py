"""kvorum: a replicated, durable key-value store.

    kvorum.open("data")                             the store inside this program, no server
    kvorum.connect("127.0.0.1:7400")                a client of a running cluster
    kvorum.aio.connect("127.0.0.1:7400")            its async twin

Names load on first use, so that `import kvorum` and `kvorum --help` stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kvorum import aio as aio
    from kvorum import errors as errors
    from kvorum.client.asynchronous import AsyncClient as AsyncClient
    from kvorum.client.entry import ClockEntry as ClockEntry
    from kvorum.client.entry import Entry as Entry
    from kvorum.client.entry import Sibling as Sibling
    from kvorum.client.synchronous import Client as Client
    from kvorum.client.synchronous import connect as connect
    from kvorum.client.values import TypedBytes as TypedBytes
    from kvorum.embedded.embedded import Embedded as Embedded
    from kvorum.embedded.embedded import open as open  # noqa: A004

__all__ = [
    "AsyncClient",
    "Client",
    "ClockEntry",
    "Embedded",
    "Entry",
    "Sibling",
    "__version__",
    "aio",
    "connect",
    "errors",
    "open",
]

__version__ = "0.1.0"

_HOME: Final = {
    "AsyncClient": "kvorum.client.asynchronous",
    "Client": "kvorum.client.synchronous",
    "ClockEntry": "kvorum.client.entry",
    "Embedded": "kvorum.embedded.embedded",
    "Entry": "kvorum.client.entry",
    "Sibling": "kvorum.client.entry",
    "TypedBytes": "kvorum.client.values",
    "connect": "kvorum.client.synchronous",
    "open": "kvorum.embedded.embedded",
}
_MODULES: Final = {"aio": "kvorum.aio", "errors": "kvorum.errors"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        found = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _MODULES:
        found = importlib.import_module(_MODULES[name])
    else:
        raise AttributeError(f"module 'kvorum' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})

"""Those who cannot be spoken to: what they are answered, and what the log says of them.

Anybody can connect to a port, as often as they like; so the log says at most one line a minute of
each address, and remembers a bounded number of addresses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kvorum.tls.faults import TlsFault

_HANDSHAKE_RECORD: Final = 0x16
USE_HTTPS: Final = b"This port speaks TLS: use https:// to reach it.\n"
_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(USE_HTTPS), USE_HTTPS)
)
_SAY_EVERY_S: Final = 60.0
_SOURCES_MAX: Final = 256


def is_tls(data: bytes) -> bool:
    """True if these first bytes of a connection may begin a TLS handshake."""
    return data[:1] == bytes((_HANDSHAKE_RECORD,))


def no_tls() -> TlsFault:
    """The refusal of a connection that begins with anything else."""
    return TlsFault("It does not speak TLS, which this port needs.")


def answer_plain_http(data: bytes) -> bytes:
    """The answer to `data`, the first bytes of a connection, where they may begin a request of
    plain HTTP; else nothing."""
    return _ANSWER if data[:1].isalpha() and data[:1].isupper() else b""


class FailureLog:
    """Logs failed handshakes, at most one a minute of each address."""

    def __init__(self, logger: logging.Logger, now: Callable[[], float]) -> None:
        """`now`: monotonic seconds."""
        self._logger = logger
        self._now = now
        self._said_at: dict[str, float] = {}

    def note(self, transport: asyncio.BaseTransport, error: OSError) -> None:
        """The handshake of `transport` has failed."""
        address = transport.get_extra_info("peername")
        source = str(address[0]) if isinstance(address, tuple) else "an unknown host"
        now = self._now()
        said_at = self._said_at.get(source)
        if said_at is not None and now - said_at < _SAY_EVERY_S:
            return
        if len(self._said_at) >= _SOURCES_MAX:
            self._said_at.clear()
        self._said_at[source] = now
        self._logger.warning("closed a connection from %s: %s", source, error)

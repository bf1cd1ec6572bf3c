"""What the connections of a client need to be let in: a TLS context, and who it is that asks.

Both may be made of files. These are looked at whenever a connection is made, and read again if
they have changed: a token that was rotated, a certificate that was renewed. Files that cannot be
read just then, say because only one of two has been replaced yet, leave all as it was.
"""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from kvorum.client.security import Security, check_token
from kvorum.model.errors import ConfigError
from kvorum.tls.client import client_context

_TOKEN_BYTES_MAX: Final = 4096

_T = TypeVar("_T")
_Stamp = tuple[tuple[int, int, int] | None, ...]


class Access:
    """How the connections of a client are made and let in. Raises ConfigError if a file is wrong.

    `security` None: in the clear, and nobody in particular.
    """

    __slots__ = ("_authorization", "_context", "security")

    def __init__(self, security: Security | None = None) -> None:
        self.security = security
        self._context: _Made[ssl.SSLContext] | None = None
        self._authorization = _Made((), lambda: "")
        if security is not None:
            tls = (security.ca, security.cert, security.key)
            self._context = _Made(tls, lambda: client_context(*tls))
            self._authorization = _Made((security.token_file,), lambda: authorization_of(security))

    @property
    def context(self) -> ssl.SSLContext | None:
        """None: without TLS."""
        return None if self._context is None else self._context.value

    @property
    def authorization(self) -> str:
        """The header field that says who asks, with its end of line; empty if there is none."""
        return self._authorization.value

    def refresh(self) -> None:
        """Read files again that have changed."""
        self._authorization.refresh()
        if self._context is not None:
            self._context.refresh()

    def differs_from(self, shown: str) -> bool:
        """True if `shown` is not the authorization any more, now that files are read again."""
        self.refresh()
        return self.authorization != shown


class _Made(Generic[_T]):
    """What is made of files, and made again when they have changed."""

    __slots__ = ("_files", "_make", "_stamp", "value")

    def __init__(self, files: tuple[Path | None, ...], make: Callable[[], _T]) -> None:
        self._files = [file for file in files if file is not None]
        self._make = make
        self._stamp = self._seen()
        self.value = make()

    def refresh(self) -> None:
        stamp = self._seen()
        if stamp == self._stamp:
            return
        try:
            self.value = self._make()
        except ConfigError:
            return  # They are looked at again for the next connection.
        self._stamp = stamp

    def _seen(self) -> _Stamp:
        return tuple(map(_stamp, self._files))


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def authorization_of(security: Security) -> str:
    """The header field that says who asks, with its end of line; empty if nobody in particular
    does (RFC 6750, section 2.1; RFC 7617, section 2). Raises ConfigError."""
    token = security.token
    if security.token_file is not None:
        token = _token_in(security.token_file)
    if token is not None:
        return f"authorization: Bearer {token}\r\n"
    if security.user is not None:
        pair = b64encode(f"{security.user}:{security.password}".encode()).decode()
        return f"authorization: Basic {pair}\r\n"
    return ""


def _token_in(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_TOKEN_BYTES_MAX)
    except OSError as error:
        raise ConfigError(
            f"The token file cannot be read: {file}: {error.strerror or error}."
        ) from error
    text = data.strip().decode("ascii", "replace")
    try:
        return check_token(text)
    except ConfigError as error:
        raise ConfigError(f"{file} holds no token. Put one into it, and nothing else.") from error


PLAIN: Final = Access()
"""In the clear, and nobody in particular."""

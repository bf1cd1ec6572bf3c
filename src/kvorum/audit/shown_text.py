"""What of a request gets into the log, and in which form: bounded, hashed if that is wanted, and
without secrets that somebody has put in the wrong place.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

from kvorum.audit.settings import ShownKeys
from kvorum.model.errors import ConfigError
from kvorum.storage import durable_file

KEY_CHARS: Final = 1024
"""Valid keys are not longer. What is longer was refused, and is cut."""
NAME_CHARS: Final = 128
SUBJECT_CHARS: Final = 512

_KEY: Final = "key"
_KEY_BYTES: Final = 32
_HASH_BYTES: Final = 16
_TOKEN: Final = re.compile(r"kvt_([0-9a-f]{0,12})[A-Za-z0-9_-]*")
"""A token, or something of one: it may have been given as a name."""


class ShownKey(NamedTuple):
    """A key as an entry shows it, if at all: itself, or its hash."""

    key: str | None = None
    key_hash: str | None = None


NO_KEY: Final = ShownKey()
ShowKey = Callable[[str], ShownKey]


def key_shower(shown: ShownKeys, directory: Path) -> ShowKey:
    """How keys are shown in the log in `directory`. Raises ConfigError if its hash key is damaged,
    and OSError.
    """
    match shown:
        case ShownKeys.PLAIN:
            return lambda key: ShownKey(key=as_text(key))
        case ShownKeys.HASHED:
            secret = _hash_key(directory / _KEY)
            return lambda key: ShownKey(key_hash=hash_of(secret, key))
        case ShownKeys.NONE:
            return lambda _key: NO_KEY


def hash_of(secret: bytes, key: str) -> str:
    """The keyed BLAKE2b of a key, as 32 hex digits."""
    text = key.encode(errors="surrogatepass")
    return blake2b(text, key=secret, digest_size=_HASH_BYTES).hexdigest()


def name_shown(name: str) -> str:
    """A name that somebody gave for his own, or for what he asks about."""
    return as_text(_TOKEN.sub(r"kvt_\1_...", name))


def as_text(text: str) -> str:
    """`text` as JSON can hold it."""
    return text.encode(errors="backslashreplace").decode()


def bounded(text: str | None, chars: int) -> str | None:
    """`text` cut to so many characters."""
    if text is None or len(text) <= chars:
        return text
    return f"{text[:chars]}... ({len(text)} characters)"


def _hash_key(file: Path) -> bytes:
    try:
        text = file.read_text("ascii")
    except FileNotFoundError:
        text = secrets.token_hex(_KEY_BYTES)
        durable_file.replace(file, text.encode())
    except UnicodeDecodeError:
        text = ""
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise ConfigError(
            f"The file {file}, under which the audit log hashes keys, is damaged. Restore it, or "
            "remove it: a new one is made, and hashes from then on differ from those before."
        )
    return secret

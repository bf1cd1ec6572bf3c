"""The master key, which wraps the keys of a node's keyring, and its sources.

Envelope encryption: records are encrypted by data keys; data keys are wrapped (encrypted) by the
master key and stored beside the data; the master key comes from elsewhere. From its 32 bytes three
values are derived by keyed BLAKE2b, each for a purpose of its own, so that none reveals anything of
another:

    id    8 bytes, public: identifies the key without revealing it
    KEK   32 bytes, the AES-256-GCM-SIV (RFC 8452) key that wraps keys
    MAC   authenticates the documents that list wrapped keys

    wrapped key: 12 bytes nonce (random) | ciphertext | 16 bytes tag

A new kind of source is a class with `load` and `describe` and a line in `_SOURCES`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import shlex
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from kvorum.model.errors import ConfigError
from kvorum.sealing.bounded_command import CommandFailed, Finished, run_bounded
from kvorum.storage.durable_file import sync_directory

KEY_BYTES: Final = 32
COMMAND_SECONDS: Final = 10.0

_NONCE_BYTES: Final = 12
_TEXT_BYTES_MAX: Final = 1024


class MasterKey:
    """A master key. It keeps no key as text or bytes, and its repr shows only its `id`."""

    __slots__ = ("_kek", "_mac", "id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"A master key has {KEY_BYTES} bytes, and this one {len(key)}.")
        self.id: Final = _derive(key, b"kvorum key id", 8).hex()
        self._kek = AESGCMSIV(_derive(key, b"kvorum wrap", KEY_BYTES))
        self._mac = hashlib.blake2b(key=key, person=b"kvorum mac", digest_size=32)

    @classmethod
    def parse(cls, text: bytes) -> MasterKey:
        """The key in `text`, hex digits or base64. Raises ConfigError, which never shows it."""
        line = text.strip()
        decoded = _decoded(line)
        if len(decoded) != KEY_BYTES:
            raise ConfigError(
                f"A master key is {KEY_BYTES} bytes, as one line of {2 * KEY_BYTES} hex digits or "
                f"of base64, and this text of {len(line)} bytes is neither."
            )
        return cls(decoded)

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """`plain` encrypted, with `context` as associated data."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._kek.encrypt(nonce, plain, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """What `wrap` was given. Raises ConfigError for another key, another context or damage."""
        try:
            return self._kek.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise ConfigError(
                f"The wrapped key for {context!r} does not open with master key {self.id}: "
                "it is damaged, moved, or wrapped by another one. Restore the file it is in."
            ) from error

    def mac(self, data: bytes, context: bytes) -> bytes:
        """The MAC of `data` in `context`: 32 bytes."""
        state = self._mac.copy()
        state.update(len(context).to_bytes(4, "big") + context)
        state.update(data)
        return state.digest()

    def verifies(self, mac: bytes, data: bytes, context: bytes) -> bool:
        """True if `mac` is the MAC of `data` in `context`. Takes the same time in any case."""
        return hmac.compare_digest(mac, self.mac(data, context))

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"


def _derive(key: bytes, purpose: bytes, size: int) -> bytes:
    return hashlib.blake2b(key=key, person=purpose, digest_size=size).digest()


def _decoded(line: bytes) -> bytes:
    try:
        if len(line) == 2 * KEY_BYTES:
            return binascii.unhexlify(line)
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        return b""


class MasterKeySource(Protocol):
    """Where a node gets its master key."""

    def load(self) -> MasterKey:
        """The key. May block. Raises ConfigError, which never shows a secret."""
        ...

    def describe(self) -> str:
        """Where the key comes from, for messages; without secrets."""
        ...


class FileSource:
    """A file that belongs to the user of this process and that nobody else may read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> MasterKey:
        try:
            text = self._read()
        except OSError as error:
            raise ConfigError(
                f"The key file {self._path} cannot be read: {error.strerror}. Put the file "
                "back, or name another source."
            ) from error
        return _parsed(text, self)

    def describe(self) -> str:
        return f"file {self._path}"

    def create_if_missing(self) -> None:
        """Make the file durably, with a random key, if it does not exist. Raises ConfigError.

        It appears whole or not at all, by a hard link, which never replaces a file. So several
        nodes that start together agree on the first one's key.
        """
        try:
            if not self._path.exists():
                self._create()
        except OSError as error:
            raise ConfigError(
                f"The key file {self._path} cannot be made: {error.strerror}. Make its "
                "directory writable for this user, or name another source."
            ) from error

    def _create(self) -> None:
        # mkstemp opens with O_EXCL and mode 0600.
        descriptor, draft = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name + ".")
        try:
            with open(descriptor, "wb") as file:
                file.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")
                file.flush()
                os.fsync(descriptor)
            os.link(draft, self._path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
        sync_directory(self._path.parent)

    def _read(self) -> bytes:
        # O_NONBLOCK: a pipe must be refused, and not block the start.
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._check(os.fstat(descriptor))
            return os.read(descriptor, _TEXT_BYTES_MAX)
        finally:
            os.close(descriptor)

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"The key file {self._path} is not a regular file.")
        if found.st_uid != os.geteuid():
            raise ConfigError(
                f"The key file {self._path} belongs to user {found.st_uid}, and this "
                f"process runs as user {os.geteuid()}. Change the owner, or run as that user."
            )
        mode = stat.S_IMODE(found.st_mode)
        if mode & ~0o600:
            raise ConfigError(
                f"The key file {self._path} has mode {mode:04o}, and others must have no "
                f"access to it. Run 'chmod 600 {shlex.quote(str(self._path))}', and change the key "
                "if they may have read it."
            )


class EnvironmentSource:
    """An environment variable of this process."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def load(self) -> MasterKey:
        text = os.environ.get(self._variable)
        if text is None:
            raise ConfigError(
                f"The environment variable {self._variable}, which is to hold the master key, is "
                "not set. Set it, or name another source."
            )
        return _parsed(os.fsencode(text), self)

    def describe(self) -> str:
        return f"environment variable {self._variable}"


class CommandSource:
    """The output of a command, for keys in a vault or a key service.

    Messages name only the program, as arguments may be secrets, and show stderr if it fails.
    """

    def __init__(self, command_line: str, seconds: float = COMMAND_SECONDS) -> None:
        self._command = _split(command_line)
        self._seconds = seconds

    def load(self) -> MasterKey:
        try:
            finished = run_bounded(self._command, self._seconds)
        except CommandFailed as error:
            raise self._failed(str(error)) from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "an argument has a NUL"
            raise self._failed(f"it cannot be started: {reason}") from None
        if finished.status != 0:
            raise self._failed(_ending(finished))
        return _parsed(finished.stdout, self)

    def describe(self) -> str:
        return f"command {self._command[0]}"

    def _failed(self, reason: str) -> ConfigError:
        return ConfigError(
            f"The {self.describe()} gave no master key: {reason}. Run it as this user to see why."
        )


def _split(command_line: str) -> list[str]:
    try:
        command = shlex.split(command_line)
    except ValueError as error:
        raise ConfigError(f"The command for the master key cannot be parsed: {error}.") from None
    if not command:
        raise ConfigError("The command for the master key is empty.")
    return command


def _ending(finished: Finished) -> str:
    end = f"exit status {finished.status}"
    if finished.status < 0:
        end = f"signal {-finished.status}"
    said = finished.stderr.decode("utf-8", "replace").strip()
    return f"it ended with {end} and said {said!r}" if said else f"it ended with {end}"


def _parsed(text: bytes, source: MasterKeySource) -> MasterKey:
    try:
        return MasterKey.parse(text)
    except ConfigError as error:
        raise ConfigError(f"{source.describe()}: {error.message}") from None


def _file_source(path: str) -> MasterKeySource:
    if not path or "\0" in path:
        raise ConfigError("The source of the master key names no file. Write it as file:PATH.")
    return FileSource(Path(path))


def _environment_source(variable: str) -> MasterKeySource:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable) is None:
        raise ConfigError("The source of the master key names no variable. Write it as env:NAME.")
    return EnvironmentSource(variable)


_SOURCES: Final[dict[str, Callable[[str], MasterKeySource]]] = {
    "file": _file_source,
    "env": _environment_source,
    "command": CommandSource,
}


def parse_source(spec: str) -> MasterKeySource:
    """The source named by "file:PATH", "env:NAME" or "command:PROGRAM ARGUMENTS".

    Raises ConfigError, which never shows `spec`: it may be a key, given by mistake.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or kind not in _SOURCES:
        raise ConfigError(
            "The source of the master key is unknown. Write it as file:PATH, env:NAME or "
            "command:PROGRAM ARGUMENTS."
        )
    return _SOURCES[kind](rest)


def load_first(source: MasterKeySource) -> MasterKey:
    """The key for a new directory: a key file that does not exist is made. Raises ConfigError."""
    if isinstance(source, FileSource):
        source.create_if_missing()
    return source.load()

"""The master key, which wraps the keys of a node's keyring, and where a node gets it.

Envelope encryption: records are sealed by data keys, data keys are wrapped by the master key
and lie beside the data, and the master key comes from elsewhere. From its 32 bytes three things
are derived by keyed BLAKE2b, each under a name of its own, so none says anything of another:

    id    8 bytes, shown freely: which key it is, never what it is
    KEK   32 bytes, AES-256-GCM-SIV (RFC 8452), wraps keys
    MAC   authenticates what lists the wrapped keys

    wrapped key: 12 bytes nonce (random) | ciphertext | 16 bytes tag

Another source is a class with `load` and `describe` and a line in `parse_source`.
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
_WANTED_TEXT: Final = "a master key of 32 bytes, as one line of 64 hex digits or of base64"


class MasterKey:
    """Holds no key as text or bytes, and its repr says only its id."""

    __slots__ = ("_kek", "_mac", "id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError(f"wanted a master key of {KEY_BYTES} bytes, got {len(key)}")
        self.id: Final = _derive(key, b"kvorum key id", 8).hex()
        self._kek = AESGCMSIV(_derive(key, b"kvorum wrap", KEY_BYTES))
        self._mac = hashlib.blake2b(key=key, person=b"kvorum mac", digest_size=32)

    @classmethod
    def parse(cls, text: bytes) -> MasterKey:
        """Raises ConfigError, without a word of the text."""
        line = text.strip()
        decoded = _decoded(line)
        if len(decoded) != KEY_BYTES:
            raise ConfigError(
                f"wanted {_WANTED_TEXT}, got a text of {len(line)} bytes that is neither"
            )
        return cls(decoded)

    def wrap(self, plain: bytes, context: bytes) -> bytes:
        """`plain`, for the eyes of `unwrap` with the same key and context only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._kek.encrypt(nonce, plain, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Raises ConfigError if this key has not wrapped it for `context`."""
        try:
            return self._kek.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise ConfigError(
                f"wanted a key wrapped by master key {self.id} for {context!r}, got one that is "
                "damaged, moved, or wrapped by another master key; restore the file it is in"
            ) from error

    def mac(self, data: bytes, context: bytes) -> bytes:
        """32 bytes that only this key gives for `data` in `context`."""
        state = self._mac.copy()
        state.update(len(context).to_bytes(4, "big") + context)
        state.update(data)
        return state.digest()

    def verifies(self, mac: bytes, data: bytes, context: bytes) -> bool:
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
    def load(self) -> MasterKey:
        """The key. Waits for whoever has it. Raises ConfigError, which never shows a secret."""
        ...

    def describe(self) -> str:
        """Where the key comes from, for people; no secrets."""
        ...


class FileSource:
    """A file of this user that nobody else may read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> MasterKey:
        try:
            text = self._read()
        except OSError as error:
            raise ConfigError(
                f"wanted a master key in {self._path}, got: {error.strerror}; put the file back "
                "or name another source"
            ) from error
        return _parsed(text, self)

    def describe(self) -> str:
        return f"file {self._path}"

    def create_if_missing(self) -> None:
        """Make the file, with a random key, durably. A file that is there is never touched.

        It appears whole or not at all: a link refuses to replace, and several nodes that start
        together agree on the first one's key.
        """
        try:
            if not self._path.exists():
                self._create()
        except OSError as error:
            raise ConfigError(
                f"wanted to make a master key in {self._path}, got: {error.strerror}; make its "
                "directory writable for this user, or name another source"
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
        # A pipe must not hold up the start: it is opened at once, and refused.
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._check(os.fstat(descriptor))
            return os.read(descriptor, _TEXT_BYTES_MAX)
        finally:
            os.close(descriptor)

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"wanted a master key in {self._path}, got no regular file")
        if found.st_uid != os.geteuid():
            raise ConfigError(
                f"wanted {self._path} to belong to user {os.geteuid()}, who runs this node, got "
                f"user {found.st_uid}; chown it, or run the node as that user"
            )
        mode = stat.S_IMODE(found.st_mode)
        if mode & ~0o600:
            raise ConfigError(
                f"wanted {self._path} with mode 0600 or stricter, got {mode:04o}: others may have "
                f"read the key; chmod 600 {shlex.quote(str(self._path))}, and change the key if "
                "they may have"
            )

    def __repr__(self) -> str:
        return f"FileSource({self.describe()})"


class EnvironmentSource:
    """A variable of the process's environment."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def load(self) -> MasterKey:
        text = os.environ.get(self._variable)
        if text is None:
            raise ConfigError(
                f"wanted a master key in the environment variable {self._variable}, got none; set "
                "it or name another source"
            )
        return _parsed(os.fsencode(text), self)

    def describe(self) -> str:
        return f"environment variable {self._variable}"

    def __repr__(self) -> str:
        return f"EnvironmentSource({self.describe()})"


class CommandSource:
    """What a command prints: the way to a vault or a key service.

    Only the program is ever shown: arguments may be secrets. stderr is shown when it fails.
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
            reason = error.strerror if isinstance(error, OSError) else "an argument with a NUL"
            raise self._failed(f"it cannot be started: {reason}") from None
        if finished.status != 0:
            raise self._failed(_ending(finished))
        return _parsed(finished.stdout, self)

    def describe(self) -> str:
        return f"command {self._command[0]}"

    def _failed(self, reason: str) -> ConfigError:
        return ConfigError(
            f"wanted a master key from {self.describe()}, but {reason}; run it as this user to see"
        )

    def __repr__(self) -> str:
        return f"CommandSource({self.describe()})"


def _split(command_line: str) -> list[str]:
    try:
        command = shlex.split(command_line)
    except ValueError as error:
        raise ConfigError(f"wanted a command line for the master key, got one with {error}") from (
            None
        )
    if not command:
        raise ConfigError("wanted a command line for the master key, got an empty one")
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
        raise ConfigError("wanted file:PATH for the master key, got no path")
    return FileSource(Path(path))


def _environment_source(variable: str) -> MasterKeySource:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable) is None:
        raise ConfigError("wanted env:NAME for the master key, got no name of a variable")
    return EnvironmentSource(variable)


_SOURCES: Final[dict[str, Callable[[str], MasterKeySource]]] = {
    "file": _file_source,
    "env": _environment_source,
    "command": CommandSource,
}


def parse_source(spec: str) -> MasterKeySource:
    """The source named by "file:PATH", "env:NAME" or "command:PROGRAM ARGUMENTS".

    Errors never repeat `spec`: a key may have been put there by mistake.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or kind not in _SOURCES:
        raise ConfigError(
            "wanted file:PATH, env:NAME or command:PROGRAM ARGUMENTS as the source of the master "
            "key, got a text that begins with none of these"
        )
    return _SOURCES[kind](rest)


def load_first(source: MasterKeySource) -> MasterKey:
    """The key for data that does not exist yet: a key file that is missing is made."""
    if isinstance(source, FileSource):
        source.create_if_missing()
    return source.load()

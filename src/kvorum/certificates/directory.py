"""The directory of certificates of a cluster.

    ca.crt              the authority's certificate; during a rotation those of two
    ca.key              its key: only where certificates are issued
    ca-next.key         the key of the authority that is to follow
    NODE.crt .key       of a node
    client-NAME.crt .key

The directory has mode 0700 and keys have 0600, from the moment they are made. A file is replaced
whole, by rename, and files that belong together only once all of them are on the disk. Of a pair
the key comes first: a reader may meet a new key beside an old certificate, finds that they do not
fit, and reads again.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from kvorum.model.errors import ConfigError

AUTHORITY: Final = "ca"
NEXT_AUTHORITY: Final = "ca-next"
CLIENT_PREFIX: Final = "client-"

_KEY_MODE: Final = 0o600
_CERTIFICATE_MODE: Final = 0o644


class File(NamedTuple):
    """What is to be in a file of the directory."""

    path: Path
    data: bytes
    mode: int

    def __repr__(self) -> str:
        return f"File({str(self.path)!r})"

    @property
    def draft(self) -> Path:
        """Where it is written before it takes its place; no name begins so."""
        return self.path.with_name(f".{self.path.name}.new")


class CertificateDirectory:
    """The files in a directory of certificates."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def certificate(self, stem: str) -> Path:
        """The certificate of `stem`: "ca", the name of a node, or `client_stem` of a client."""
        return self.path / f"{stem}.crt"

    def key(self, stem: str) -> Path:
        """The private key that goes with it."""
        return self.path / f"{stem}.key"

    def stems(self) -> list[str]:
        """Of whom there are certificates, in order; the authority is not among them."""
        found = sorted(file.stem for file in self.path.glob("[!.]*.crt"))
        return [stem for stem in found if stem != AUTHORITY]

    def make(self) -> None:
        """Make the directory, if it is missing. Raises ConfigError, also if others than its owner
        may write to one that is there."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = stat.S_IMODE(self.path.stat().st_mode)
        except OSError as error:
            raise _cannot("make the directory", self.path, error) from error
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError(
                f"Others may write to {self.path}, whose mode is {mode:04o}, and so put "
                f"certificates of their own there. Run 'chmod 700 {self.path}', or choose another "
                "directory."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes the directory inside. Raises ConfigError if somebody does now."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(
                f"There is no directory of certificates at {self.path}: {error.strerror}. Make one "
                "with 'kvorum certs init', or name another with --dir."
            ) from error
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def key_file(self, stem: str, pem: bytes) -> File:
        """A private key, to be put in its place by `replace`."""
        return File(self.key(stem), pem, _KEY_MODE)

    def certificate_file(self, stem: str, pem: bytes) -> File:
        """A certificate, to be put in its place by `replace`."""
        return File(self.certificate(stem), pem, _CERTIFICATE_MODE)

    def replace(self, files: Sequence[File]) -> None:
        """Put `files` in their places, in that order, durably.

        Raises ConfigError, with nothing changed, if one of them cannot be written.
        """
        try:
            for file in files:
                _write_draft(file)
            for file in files:
                file.draft.replace(file.path)
            self._sync()
        except OSError as error:
            for each in files:
                with suppress(OSError):  # it is in the way, or the disk is gone
                    each.draft.unlink(missing_ok=True)
            raise _cannot("write", file.path, error) from error

    def read(self, file: Path) -> bytes:
        """The bytes of a file of this directory. Raises ConfigError."""
        try:
            return file.read_bytes()
        except FileNotFoundError as error:
            raise ConfigError(
                f"There is no {file.name} in {self.path}. 'kvorum certs init' makes an authority, "
                "'kvorum certs issue' a certificate."
            ) from error
        except OSError as error:
            raise _cannot("read", file, error) from error

    def changed_s_ago(self, stem: str, now_s: float) -> float:
        """For how long the certificate of `stem` has been what it is. Raises ConfigError."""
        file = self.certificate(stem)
        try:
            return now_s - file.stat().st_mtime
        except OSError as error:
            raise _cannot("read", file, error) from error

    def promote(self, stem: str, successor: str) -> None:
        """Put the key of `successor` in the place of that of `stem`, durably.

        Raises ConfigError.
        """
        try:
            self.key(successor).replace(self.key(stem))
            self._sync()
        except OSError as error:
            raise _cannot("write", self.key(stem), error) from error

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"Another 'kvorum certs' is at work in {self.path}. Repeat this when it is done."
            ) from error
        except OSError as error:
            raise _cannot("lock", self.path, error) from error

    def _sync(self) -> None:
        directory = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def client_stem(name: str) -> str:
    """How the files of the client called `name` begin."""
    return f"{CLIENT_PREFIX}{name}"


def _write_draft(file: File) -> None:
    file.draft.unlink(missing_ok=True)  # of a command that was killed
    descriptor = os.open(file.draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(file.data)
        stream.flush()
        os.fsync(stream.fileno())


def _cannot(what: str, path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"Cannot {what} {path}: {error.strerror or error}. Choose another directory, make room, or "
        "correct its permissions."
    )

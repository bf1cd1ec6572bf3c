"""The directory of certificates of a cluster.

    ca.crt              the authority's certificate; during a rotation those of two
    ca.key              its key: only where certificates are issued
    NODE.crt .key       of a node
    client-NAME.crt .key

The directory has mode 0700 and keys have 0600, from the moment they are made. A file is replaced
whole, by rename. Of a pair the key comes first: a reader may meet a new key beside an old
certificate, finds that they do not fit, and reads again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from kvorum.model.errors import ConfigError

AUTHORITY: Final = "ca"
CLIENT_PREFIX: Final = "client-"

_KEY_MODE: Final = 0o600
_CERTIFICATE_MODE: Final = 0o644


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
        found = sorted(file.stem for file in self.path.glob("*.crt"))
        return [stem for stem in found if stem != AUTHORITY]

    def make(self) -> None:
        """Make the directory, if it is missing. Raises ConfigError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot("make the directory", self.path, error) from error

    def write_key(self, stem: str, pem: bytes) -> None:
        """Replace the private key, durably. Raises ConfigError."""
        _replace(self.key(stem), pem, _KEY_MODE)

    def write_certificate(self, stem: str, pem: bytes) -> None:
        """Replace the certificate, durably. Raises ConfigError."""
        _replace(self.certificate(stem), pem, _CERTIFICATE_MODE)

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


def client_stem(name: str) -> str:
    """How the files of the client called `name` begin."""
    return f"{CLIENT_PREFIX}{name}"


def _replace(path: Path, data: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise _cannot("write", path, error) from error


def _cannot(what: str, path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"Cannot {what} {path}: {error.strerror or error}. Choose another directory, or correct "
        "its permissions."
    )

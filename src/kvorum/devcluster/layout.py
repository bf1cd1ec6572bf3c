"""The directory a local cluster lives in.

    cluster.toml      the topology, written once, before the first start
    cluster.secret    the key of the versions that clients hand back, mode 0600
    certs/            of a secure cluster: its authority, and the certificates of its nodes
    admin.token       of a secure cluster: the first administrator's token, mode 0600
    n1/ n2/ ...       each node's own data directory

cluster.toml comes last and by rename, so a directory that has one is complete.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from kvorum.model.errors import ConfigError
from kvorum.model.topology import Topology
from kvorum.model.topology_toml import dump_topology

_SECRET_BYTES: Final = 32


def _nothing(_topology: Topology) -> None:
    """An open cluster needs nothing more."""


class Layout:
    """The paths in the directory of a cluster, and its topology file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.topology_file = directory / "cluster.toml"
        self.certificates = directory / "certs"
        self.admin_token = directory / "admin.token"
        self._secret_file = directory / "cluster.secret"
        self._draft = directory / "cluster.draft"

    def node_directory(self, name: str) -> Path:
        return self.directory / name

    @property
    def exists(self) -> bool:
        return self.topology_file.exists()

    @property
    def is_secure(self) -> bool:
        """True if the cluster speaks TLS, and authenticates everybody."""
        return (self.certificates / "ca.crt").exists()

    def check_creatable(self) -> None:
        """Raises ConfigError if the directory holds anything but an attempt to create it."""
        try:
            found = {path.name for path in self.directory.iterdir()}
        except FileNotFoundError:
            return
        except OSError as error:
            raise _refusal(self.directory, error) from error
        own = (self._secret_file, self._draft, self.certificates, self.admin_token)
        strangers = found - {path.name for path in own}
        if strangers:
            raise ConfigError(
                f"A new cluster needs an empty directory, and {self.directory} holds "
                f"{min(strangers)!r}. Choose another directory."
            )

    def create(
        self, topology: Topology, prepare: Callable[[Topology], object] = _nothing
    ) -> Topology:
        """File `topology` with a new secret; returns it as it was filed. `prepare` is called with
        it before, to make what else the cluster needs from its first start on.
        """
        self.check_creatable()
        secret = secrets.token_hex(_SECRET_BYTES)
        filed = msgspec.structs.replace(
            topology, secret_file=self._secret_file.name, secret=secret.encode()
        )
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _write(self._secret_file, secret, mode=0o600)
            prepare(filed)
            _write(self._draft, dump_topology(filed), mode=0o644)
            self._draft.rename(self.topology_file)
        except OSError as error:
            raise _refusal(self.directory, error) from error
        return filed


def _write(path: Path, text: str, mode: int) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _refusal(directory: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"Cannot write to the directory {directory}: {error.strerror or error}. "
        "Choose another one, or correct its permissions."
    )

"""Reading a cluster's topology file and its secret from disk.

The secret comes from the first of

    --secret-file                 a file, for `serve`
    KVORUM_CLUSTER_SECRET         the environment variable, as its bytes
    KVORUM_CLUSTER_SECRET_FILE    the environment variable: a file
    secret_file                   named in the topology file, relative to its directory
    cluster.secret                beside the topology file, if there is one

Where there is none of these it follows from the cluster's name, which will do on loopback only.

One line break at the end is no part of it: editors and `openssl rand` add one, `$(...)` in
a shell takes one away. A secret file that its group or others may touch is refused, and so
is one that is no plain file. Its mode is asked of the open file, not of the path, so
nobody can swap the file in between.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kvorum.model.errors import ConfigError
from kvorum.model.topology import SECRET_BYTES_MIN, Topology
from kvorum.model.topology_toml import parse_topology, secret_file_in

SECRET_VARIABLE: Final = "KVORUM_CLUSTER_SECRET"
SECRET_FILE_VARIABLE: Final = "KVORUM_CLUSTER_SECRET_FILE"
SECRET_FILE: Final = "cluster.secret"
TOPOLOGY_BYTES_MAX: Final = 1 << 20
SECRET_BYTES_MAX: Final = 4096


def load_topology(
    path: Path, environ: Mapping[str, str] = os.environ, secret_file: Path | None = None
) -> Topology:
    """The topology in the TOML file `path`, with its secret. Raises ConfigError, which names it."""
    text = _read_text(path)
    secret = None
    if secret_file is None and SECRET_VARIABLE in environ:
        secret = _checked(os.fsencode(environ[SECRET_VARIABLE]), SECRET_VARIABLE)
    else:
        file = secret_file or _secret_file(path, secret_file_in(text, str(path)), environ)
        if file is not None:
            secret = read_secret(file)
    return parse_topology(text, str(path), secret)


def _secret_file(path: Path, named: str | None, environ: Mapping[str, str]) -> Path | None:
    """Where the secret of the topology file `path` is, which names `named`; None if nowhere."""
    if SECRET_FILE_VARIABLE in environ:
        return Path(environ[SECRET_FILE_VARIABLE])
    if named is not None:
        return path.parent / named
    beside = path.parent / SECRET_FILE
    return beside if beside.exists() else None


def _read_text(path: Path) -> str:
    descriptor = _opened(path, "a topology file")
    with open(descriptor, "rb") as file:
        data = file.read(TOPOLOGY_BYTES_MAX + 1)
    if len(data) > TOPOLOGY_BYTES_MAX:
        raise ConfigError(
            f"{path} is longer than a topology file may be ({TOPOLOGY_BYTES_MAX} bytes). "
            "Check that it is the right file."
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 at byte {error.start}. Save it as UTF-8."
        ) from error


def read_secret(path: Path) -> bytes:
    """The secret in the file `path`. Raises ConfigError, also if others may read it."""
    descriptor = _opened(path, "a secret file")
    with open(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"Others can read the secret file {path}, whose mode is {mode:04o}. "
                f"Run `chmod 600 {shlex.quote(str(path))}`, and choose a new secret if others may "
                "have read it."
            )
        data = file.read(SECRET_BYTES_MAX + 1)
    return _checked(data, str(path))


def _opened(path: Path, what: str) -> int:
    """A descriptor of the plain file `path`."""
    try:
        # Not to hang on a named pipe that nobody writes to.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"Cannot read {path} as {what}: {reason}. Check the path and its permissions."
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ConfigError(f"Cannot read {path} as {what}: it is no plain file.")
    return descriptor


def _checked(data: bytes, source: str) -> bytes:
    """The secret in `data`, without its line break."""
    secret = data.removesuffix(b"\n").removesuffix(b"\r")
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise ConfigError(
            f"The secret in {source} is too {'short' if len(secret) < SECRET_BYTES_MIN else 'long'}"
            f": it has to have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes. "
            "Make one with `openssl rand -base64 32`."
        )
    return secret

"""The first administrator's token, in a file for whoever has made the cluster.

    admin.token    the token's text, mode 0600, written once: at a node's first start in secure mode

The token follows from the cluster's secret (`service/tokens.py`), so each node could write the same
one. Whoever deletes the file finds it gone for good; `kvorum token create --offline` makes
another administrator's token, also where the first one was revoked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kvorum.model.errors import ConfigError
from kvorum.service.tokens import first_administrators
from kvorum.storage import durable_file

ADMIN_TOKEN: Final = "admin.token"


def write_admin_token(directory: Path, secret: bytes) -> Path:
    """Write the token of the first administrator of the cluster with that `secret` into
    `directory`, durably; returns the file. Raises ConfigError.
    """
    path = directory / ADMIN_TOKEN
    text = first_administrators(secret).text
    try:
        durable_file.replace(path, f"{text}\n".encode())
    except OSError as error:
        raise ConfigError(
            f"Cannot write the first administrator's token to {path}: {error.strerror or error}. "
            "Correct the permissions of the directory, or make room on its disk."
        ) from error
    return path

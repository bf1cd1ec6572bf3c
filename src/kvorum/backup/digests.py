"""Digests of whole files: BLAKE2b-256, computed a piece at a time.

Hashing a piece and reading one release the interpreter's lock, so a thread that hashes does not
block the event loop.
"""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from pathlib import Path
from typing import Final

from kvorum.backup.progress import Progress

_PIECE_BYTES: Final = 1 << 20
_DIGEST_BYTES: Final = 32


def digest_of(path: Path, progress: Progress) -> str:
    """The digest of a file, as hex digits. Raises OSError, also if `path` is not a regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        state = blake2b(digest_size=_DIGEST_BYTES)
        while piece := file.read(_PIECE_BYTES):
            state.update(piece)
            progress.advance(len(piece))
    return state.hexdigest()

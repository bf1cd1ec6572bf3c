"""What the operating system refuses while a command works on files, as an error of kvorum's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvorum.model.errors import StorageError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raises StorageError for any OSError inside, which concerns files in `path`."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot change the files in {path}: {error}; free or mend the disk, then repeat it"
        ) from error

"""Work on the data directory of a node that does not run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from kvorum.cli.parameter_types import NonEmptyPath
from kvorum.model.errors import StorageError
from kvorum.storage.directory import exclusive

DIRECTORY: Final = NonEmptyPath(file_okay=False, exists=True, path_type=Path)

stopped_node_option: Final = click.option(
    "--data-dir", required=True, type=DIRECTORY, help="The data directory of the stopped node."
)


@contextmanager
def stopped_node(data_dir: Path) -> Iterator[None]:
    """Keeps others out of the directory meanwhile. Raises ConfigError if its node runs, and
    StorageError for what the operating system refuses inside."""
    with exclusive(data_dir):
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"Cannot change the files in {data_dir}: {error}. Free or mend the disk, then "
                "repeat it."
            ) from error
